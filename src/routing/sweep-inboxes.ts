/**
 * One page of the sweep: users for whom something waits, who are present, and whom nobody serves.
 * First those who have rows, then the readers of large groups (sweep-readers.ts). Before the first page
 * the group messages that were put aside get their rows.
 */
import type { Inbox } from '../activities/mysql/inbox';
import type { SweepPage } from '../domain/delivery';
import { inParallel } from './in-parallel';
import { finishFanouts } from './late-fanout';
import type { LateFanoutDeps } from './late-fanout';
import { FIRST_READERS, isOfReaders, sweepReaders } from './sweep-readers';
import type { SweepReadersDeps } from './sweep-readers';

/** Users of a page. */
const PAGE_SIZE = 500;
/** How long a user whose delivery failed visibly is left alone, ms: operators may be at work on it. */
const LEAVE_ALONE_MS = 10 * 60_000;

export interface SweepDeps extends SweepReadersDeps, LateFanoutDeps {
  readonly inbox: Pick<Inbox, 'sweepPage'>;
  readonly requests: SweepReadersDeps['requests'] & {
    startMissed(userId: string): Promise<boolean>;
  };
}

/** Rejects when a delivery could not be requested: the page is then swept again. */
export async function sweepInboxes(deps: SweepDeps, after: string): Promise<SweepPage> {
  const { inbox, presence, requests, now } = deps;
  if (isOfReaders(after)) return sweepReaders(deps, after);
  if (after === '') await finishFanouts(deps);
  const users = await inbox.sweepPage(after, now() - LEAVE_ALONE_MS, PAGE_SIZE);
  const answers = await presence.lookupMany(users.map(({ userId }) => userId));
  const present = users.filter(({ userId }) => answers.get(userId)?.devices.length);
  let requested = 0;
  await inParallel(present, async ({ userId }) => {
    if (await requests.startMissed(userId)) requested += 1;
  });
  return {
    examined: users.length,
    requested,
    next: users.length < PAGE_SIZE ? FIRST_READERS : users.at(-1)?.userId,
  };
}
