/**
 * Whether, and since when, a user is in a group, asked for one by one: for large groups, whose members are not kept.
 * Remembered, corrected by `membership_change`, asked anew in the background when old.
 */
import { LRUCache } from 'lru-cache';
import { ImError, messageOf } from '../../domain/errors';
import type { MembershipChange } from '../../domain/roster';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { requireNoError, USER_ERROR } from './client';
import type { UserServiceClient, UserServiceResponse } from './client';
import { joinedAtOf } from './group-pages';
import type { WireMember } from './group-pages';

/** How long "not a member" is remembered, ms: short, the news of a join may be under way. */
const NO_TTL_MS = 1_000;
/** Pause before the user service is asked again after a failure, ms. */
const RETRY_MS = 2_000;

export interface MembershipChecksOptions {
  readonly client: Pick<UserServiceClient, 'call'>;
  /** Answers remembered. */
  readonly max: number;
  /** How old a yes may be before it is asked for anew in the background, ms. */
  readonly refreshMs: number;
  readonly now: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Unix ms since when, 0 when that is not known; `undefined`: not a member. */
type Since = number | undefined;

interface Verdict {
  readonly since: Since;
  freshUntil: number;
}

interface Question {
  readonly answer: Promise<Since>;
  /** What Kafka told meanwhile: newer than the answer. */
  change: MembershipChange | undefined;
}

interface MembershipResponse extends UserServiceResponse {
  readonly is_member: boolean;
  readonly member: WireMember | null;
}

export class MembershipChecks {
  private readonly known: LRUCache<string, Verdict>;
  private readonly asking = new Map<string, Question>();

  constructor(private readonly options: MembershipChecksOptions) {
    this.known = new LRUCache({ max: options.max });
  }

  /** Rejects with SERVICE_UNAVAILABLE when it is not known and the user service is away. */
  async memberSince(groupId: string, userId: string): Promise<Since> {
    const name = nameOf(groupId, userId);
    const verdict = this.known.get(name);
    const now = this.options.now();
    if (!verdict) return this.ask(name, groupId, userId);
    if (verdict.freshUntil >= now) return verdict.since;
    // A no is short-lived and waits for the news; a yes serves while it is asked for anew.
    if (verdict.since === undefined) return this.ask(name, groupId, userId);
    verdict.freshUntil = now + RETRY_MS;
    void this.refresh(name, groupId, userId);
    return verdict.since;
  }

  apply(change: MembershipChange): void {
    const name = nameOf(change.groupId, change.userId);
    const question = this.asking.get(name);
    if (question) question.change = change;
    const verdict = this.known.peek(name);
    if (verdict) this.keep(name, changed(verdict.since, change));
  }

  /** Changes may have been missed: every answer is asked for anew when next needed. */
  distrust(): void {
    for (const verdict of this.known.values()) verdict.freshUntil = 0;
  }

  private async refresh(name: string, groupId: string, userId: string): Promise<void> {
    try {
      await this.ask(name, groupId, userId);
    } catch (error) {
      this.options.metrics.userServiceStale.inc();
      this.options.log.debug({ err: messageOf(error) }, 'serving the last known membership');
    }
  }

  private ask(name: string, groupId: string, userId: string): Promise<Since> {
    const running = this.asking.get(name);
    if (running) return running.answer;
    const answer = this.validate(groupId, userId)
      .then((since) => {
        const change = this.asking.get(name)?.change;
        const newest = change ? changed(since, change) : since;
        this.keep(name, newest);
        return newest;
      })
      .finally(() => this.asking.delete(name));
    this.asking.set(name, { answer, change: undefined });
    return answer;
  }

  private async validate(groupId: string, userId: string): Promise<Since> {
    let response: MembershipResponse;
    try {
      response = await this.options.client.call('ValidateGroupMembership', {
        user_id: userId,
        group_id: groupId,
      });
      if (isAbsence(response.error_code)) return undefined;
      requireNoError('ValidateGroupMembership', response);
    } catch (error) {
      const detail = 'the user service is unavailable';
      throw new ImError('SERVICE_UNAVAILABLE', detail, { cause: error });
    }
    if (!response.is_member) return undefined;
    return response.member ? joinedAtOf(response.member) : 0;
  }

  private keep(name: string, since: Since): void {
    const { now, refreshMs } = this.options;
    const lasts = since === undefined ? NO_TTL_MS : refreshMs;
    this.known.set(name, { since, freshUntil: now() + lasts });
  }
}

/** The news of a join may be older than an answer that has it already. */
function changed(since: Since, { type, at }: MembershipChange): Since {
  return type === 'join' ? (since ?? at) : undefined;
}

/** Neither an unknown user nor one of an unknown group is a member. */
function isAbsence(errorCode: number): boolean {
  return (
    errorCode === USER_ERROR.userNotFound ||
    errorCode === USER_ERROR.groupNotFound ||
    errorCode === USER_ERROR.invalidRequest
  );
}

/** No id contains `/`. */
function nameOf(groupId: string, userId: string): string {
  return `${groupId}/${userId}`;
}
