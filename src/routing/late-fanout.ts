/**
 * Finishes the fan-out of group messages that were put aside because the user service was away and their
 * groups unknown. The sweep does so; what still cannot be known is left to the next one.
 */
import type { FanoutBacklog } from '../activities/mysql/fanout-backlog';
import type { Logger } from '../logger';
import { isUnknownGroup } from './group-fanout';
import type { GroupFanout } from './group-fanout';

/** Messages that are worked on together. */
const PAGE_SIZE = 100;
/** Groups looked at by one sweep. */
const MAX_GROUPS = 500;
/** Groups in a row that cannot be known: the user service is away, then. */
const MAX_UNKNOWN = 3;
/** How long one sweep works on them, ms: well within the time of its activity. */
const WORK_MS = 20_000;

export interface LateFanoutDeps {
  readonly backlog: Pick<FanoutBacklog, 'groups' | 'next' | 'remove' | 'noteAttempt'>;
  readonly fanout: Pick<GroupFanout, 'keepLate'>;
  readonly now: () => number;
  readonly log: Logger;
}

export async function finishFanouts(deps: LateFanoutDeps): Promise<void> {
  const { backlog, now, log } = deps;
  const until = now() + WORK_MS;
  let unknown = 0;
  for (const groupId of await backlog.groups(MAX_GROUPS)) {
    try {
      await finishGroup(deps, groupId, until);
      unknown = 0;
    } catch (error) {
      if (!isUnknownGroup(error)) throw error;
      await backlog.noteAttempt(groupId, now());
      log.warn({ groupId }, 'members are still unknown; messages wait');
      if (++unknown >= MAX_UNKNOWN) return;
    }
    if (now() > until) return;
  }
}

async function finishGroup(
  { backlog, fanout, now }: LateFanoutDeps,
  groupId: string,
  until: number,
): Promise<void> {
  while (now() <= until) {
    const messages = await backlog.next(groupId, PAGE_SIZE);
    if (messages.length === 0) return;
    await fanout.keepLate(messages);
    await backlog.remove(messages);
  }
}
