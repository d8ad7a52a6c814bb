/**
 * Who was there when a group message was accepted. The registry's times are whole seconds of the gateways'
 * clocks, so we also go by when its watch told us; where both leave it open, the member gets the message
 * again rather than never.
 */
import type { Presence, PresenceAnswer } from '../activities/etcd/presence';
import { VANISH_OVERLAP_MS } from '../activities/mysql/group-readers';

/** What the registry's times, whole seconds of the gateways' clocks, leave open, ms. */
export const DOUBT_MS = 3_000;
/** A look-up that took longer does not say when it was true, ms. */
const MAX_LOOK_MS = 1_000;

/** Presence of members, asked for once for a batch of messages: all of them were accepted before. */
export class Attendance {
  private readonly answers = new Map<string, PresenceAnswer>();

  /** `asked`: now, unix ms. */
  constructor(
    private readonly presence: Pick<Presence, 'lookupMany'>,
    private readonly asked: number,
  ) {}

  /** Whether who was there then may have gone before their gateway had read the message. */
  isEarlyFor(acceptedAt: number): boolean {
    return this.asked < acceptedAt + VANISH_OVERLAP_MS;
  }

  /** The answers for these users, perhaps among others. */
  async of(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceAnswer>> {
    const unasked = userIds.filter((userId) => !this.answers.has(userId));
    if (unasked.length === 0) return this.answers;
    const found = await this.presence.lookupMany(unasked);
    for (const [userId, answer] of found) this.answers.set(userId, answer);
    return this.answers;
  }
}

/**
 * Whether a gateway certainly held a device of a user when a message was accepted. `arrivedAt` is when we
 * were told of their last device, if we were. Times are unix ms.
 */
export function wasThere(
  answer: PresenceAnswer | undefined,
  arrivedAt: number | undefined,
  acceptedAt: number,
): boolean {
  if (answer?.certain !== true) return false;
  return answer.devices.some(({ connectedAt }) => {
    const before = acceptedAt - connectedAt * 1_000;
    const heardBefore = isOf(connectedAt, arrivedAt) && arrivedAt <= acceptedAt;
    return before > DOUBT_MS || (before >= 0 && heardBefore);
  });
}

/**
 * Since when a user was certainly there, unix ms, at most the time of the answer; 0 for one who is not, or
 * may not be. `looked`: when the registry was asked, and when it had answered.
 */
export function presentSince(
  answer: PresenceAnswer | undefined,
  arrivedAt: number | undefined,
  looked: { readonly asked: number; readonly answered: number },
): number {
  if (answer?.certain !== true || answer.devices.length === 0) return 0;
  const { asked, answered } = looked;
  const since = answer.devices.map(({ connectedAt }) => {
    const heardAt = isOf(connectedAt, arrivedAt) ? arrivedAt : Infinity;
    return Math.min(heardAt, connectedAt * 1_000 + DOUBT_MS);
  });
  const earliest = Math.max(1, Math.min(answered, ...since));
  return earliest > asked && answered - asked > MAX_LOOK_MS ? 0 : earliest;
}

/** Whether what we were told can be about a device that connected then: what is older was another one. */
function isOf(connectedAt: number, arrivedAt: number | undefined): arrivedAt is number {
  return arrivedAt !== undefined && arrivedAt >= connectedAt * 1_000;
}
