/**
 * Commits the offsets of all partitions of a fetch in one request.
 *
 * By itself kafkajs commits after each partition's batch, and each time what all others have resolved
 * meanwhile: a fetch of 20 partitions is 20 requests of up to 20 offsets. It asks for more only when
 * every batch of a fetch is done, so what a commit waits for is also what the next fetch waits for:
 * under load a commit every few milliseconds gathers records into larger fetches and transactions.
 */
import type { EachBatchPayload } from 'kafkajs';
import { sleep } from '../sleep';

/** Shortest time from one commit to the next, ms: what a record may have to wait for company. */
const PACE_MS = Number(process.env['AB_PACE'] ?? 25);

/** One life of a consumer: commits of an earlier one mean nothing to the next. */
export class OffsetCommits {
  private next: Promise<void> | undefined;
  private lastAt = 0;

  constructor(private readonly stopping: AbortSignal) {}

  /** Resolves once what is resolved now is committed; rejects when the group does not take it. */
  commit(
    payload: Pick<EachBatchPayload, 'uncommittedOffsets' | 'commitOffsetsIfNecessary'>,
  ): Promise<void> {
    this.next ??= this.run(payload);
    return this.next;
  }

  private async run({
    uncommittedOffsets,
    commitOffsetsIfNecessary,
  }: Pick<EachBatchPayload, 'uncommittedOffsets' | 'commitOffsetsIfNecessary'>): Promise<void> {
    await sleep(Math.max(0, this.lastAt + PACE_MS - Date.now()), this.stopping);
    this.next = undefined;
    this.lastAt = Date.now();
    await commitOffsetsIfNecessary(uncommittedOffsets());
  }
}
