/**
 * Writes the records of many partitions in shared transactions, and finds the ones that the database
 * will never take by halving what failed.
 */
import { Coalescer } from '../activities/coalescer';
import type { Refusal } from '../activities/kafka/batches';
import { dataErrorOf } from '../activities/mysql/database';

/** Records of one transaction, as many as go into one statement. */
const MAX_BATCH = 500;
/** Records that may wait: a chunk of each of a topic's partitions. */
const MAX_QUEUED = 64 * MAX_BATCH;

/** Why an entry is refused whose id another message has. */
const CONFLICT = 'msg_id belongs to another message';

export class BisectingWriter<E> {
  private readonly queue: Coalescer<E, Refusal>;

  /** `store` writes entries in one transaction, may be repeated, and returns those it refused. */
  constructor(private readonly store: (entries: E[]) => Promise<ReadonlySet<E>>) {
    this.queue = new Coalescer({
      run: (entries) => this.write(entries),
      maxBatch: MAX_BATCH,
      maxQueued: MAX_QUEUED,
    });
  }

  /** Resolves when each entry is stored or refused; rejects when that cannot be told now. */
  add(entries: readonly E[]): Promise<Refusal[]> {
    return Promise.all(entries.map((entry) => this.queue.add(entry)));
  }

  private async write(entries: E[]): Promise<Refusal[]> {
    try {
      const refused = await this.store(entries);
      return entries.map((entry) => (refused.has(entry) ? CONFLICT : undefined));
    } catch (error) {
      const reason = dataErrorOf(error);
      if (reason === undefined) throw error;
      if (entries.length === 1) return [`MySQL does not take it: ${reason}`];
      const middle = Math.ceil(entries.length / 2);
      const first = await this.write(entries.slice(0, middle));
      return [...first, ...(await this.write(entries.slice(middle)))];
    }
  }
}
