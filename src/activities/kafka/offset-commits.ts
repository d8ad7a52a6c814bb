/**
 * Commits the offsets of all partitions of a fetch in one request.
 *
 * By itself kafkajs commits after each partition's batch, and each time what all others have resolved
 * meanwhile: a fetch of 20 partitions is 20 requests of up to 20 offsets. It asks for more only when
 * every batch of a fetch is done, so what a commit waits for is also what the next fetch waits for:
 * with commits some time apart, records gather into larger fetches and transactions.
 */
import type { EachBatchPayload } from 'kafkajs';
import { sleep } from '../sleep';

/** What a commit needs of a batch. */
export type Committable = Pick<EachBatchPayload, 'uncommittedOffsets' | 'commitOffsetsIfNecessary'>;

/** Of one life of a consumer: commits of an earlier one mean nothing to the next. */
export class OffsetCommits {
  private next: Promise<void> | undefined;
  private nextAt = 0;

  /** `apartMs`: shortest time from one commit to the next; none is put off once `stopping` is aborted. */
  constructor(
    private readonly apartMs: number,
    private readonly stopping: AbortSignal,
  ) {}

  /** Resolves once what is resolved now is committed; rejects when the group does not take it. */
  commit(batch: Committable): Promise<void> {
    this.next ??= this.run(batch);
    return this.next;
  }

  private async run({ uncommittedOffsets, commitOffsetsIfNecessary }: Committable): Promise<void> {
    // Also without a wait: the other partitions of a transaction resolve in this turn.
    await sleep(Math.max(0, this.nextAt - Date.now()), this.stopping);
    // Who comes while it is under way makes the next one.
    this.next = undefined;
    this.nextAt = Date.now() + this.apartMs;
    await commitOffsetsIfNecessary(uncommittedOffsets());
  }
}
