/**
 * Notices that changes of groups were lost: Kafka keeps `membership_change` for an hour, and no worker may
 * have read it for longer, or none could write. The members of all large groups are then read anew from
 * the user service (small groups are read by every process when it starts, and when they are old).
 */
import type { ConsumerPosition } from '../activities/kafka/consumer-positions';
import type {
  DoubtfulGroup,
  GroupDoubts,
  WatchedPartition,
} from '../activities/mysql/group-doubts';
import { sleep } from '../activities/sleep';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { LargeGroups } from './large-groups';

/** How long a partition may not be read to its end before changes count as lost, ms: Kafka keeps an hour. */
const MAX_SILENCE_MS = 50 * 60_000;
/** Pause between two looks, ms: how exactly is known from when on changes were lost. */
const LOOK_EVERY_MS = 10_000;
/** How soon a worker that is not the one to look asks again whether it is, ms. */
const NOT_OURS_MS = 1_000;
/** Groups of a page. */
const PAGE_SIZE = 100;

export interface MembershipWatchDeps {
  readonly positions: () => Promise<readonly ConsumerPosition[]>;
  readonly doubts: GroupDoubts;
  readonly large: Pick<LargeGroups, 'readAnew'>;
  /** Whether this worker is the one to look; all of them do when they start. */
  readonly isOurs: () => boolean;
  readonly now: () => number;
  readonly log: Logger;
}

export class MembershipWatch {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;

  constructor(private readonly deps: MembershipWatchDeps) {}

  /** Looks once, before any change is read: reading moves what it looks at. Then now and then. */
  async start(): Promise<void> {
    await this.attempt(() => this.look());
    this.running = this.live();
  }

  /** Ends between two groups. */
  async close(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async live(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const isOurs = this.deps.isOurs();
      if (isOurs) {
        await this.attempt(async () => {
          await this.look();
          await this.settleDoubts();
        });
      }
      await sleep(isOurs ? LOOK_EVERY_MS : NOT_OURS_MS, this.stopping.signal);
    }
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.deps.log.warn({ err: messageOf(error) }, 'membership changes are not watched now');
    }
  }

  private async look(): Promise<void> {
    const { positions, doubts, now, log } = this.deps;
    const at = now();
    const known = await doubts.watched();
    let doubtfulSince = Infinity;
    const watched: WatchedPartition[] = [];
    for (const { partition, committed, low, high } of await positions()) {
      const before = known.get(partition);
      const read = Math.max(committed, before?.knownOffset ?? 0);
      const isLost = read < low || at - (before?.heardAt ?? at) > MAX_SILENCE_MS;
      if (isLost) doubtfulSince = Math.min(doubtfulSince, before?.heardAt ?? at);
      const isCurrent = isLost || read >= high;
      watched.push({
        partition,
        knownOffset: Math.max(read, low),
        heardAt: isCurrent ? at : (before?.heardAt ?? at),
      });
    }
    if (doubtfulSince < Infinity) {
      log.warn('membership changes were lost: the members of large groups are read anew');
      await doubts.doubtAll(doubtfulSince);
    }
    await doubts.noteWatched(watched);
  }

  /** Groups that cannot be read now stay doubtful, and do not hold up the others. */
  private async settleDoubts(): Promise<void> {
    const { doubts } = this.deps;
    for (let after: string | undefined = ''; after !== undefined;) {
      const page: DoubtfulGroup[] = await doubts.doubtful(after, PAGE_SIZE);
      for (const doubt of page) await this.attempt(() => this.settle(doubt));
      after = this.stopping.signal.aborted ? undefined : page.at(-1)?.groupId;
    }
  }

  private async settle(doubt: DoubtfulGroup): Promise<void> {
    const { doubts, large } = this.deps;
    const { signal } = this.stopping;
    if (signal.aborted || !(await large.readAnew(doubt.groupId, doubt.since, signal))) return;
    await doubts.clear(doubt);
  }
}
