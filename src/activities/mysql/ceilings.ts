/** Ceilings of sequence numbers: blocks reserved ahead, many conversations in one transaction. */
import { Coalescer } from '../coalescer';
import type { Conversation } from '../../domain/ids';
import type { Metrics } from '../../metrics';
import { isDuplicate, isLockConflict } from './database';
import type { Database } from './database';

/** Numbers in a block (architecture §3): one MySQL write for so many messages of a conversation. */
export const BLOCK_SIZE = 10_000;
/** Conversations of one transaction; keeps the statement and its locks short. */
const MAX_BATCH = 200;
/** Conversations that may wait for theirs. */
const MAX_QUEUED = 20_000;

const INSERT =
  'INSERT INTO sequence_ceilings (conversation_type, conversation_key, ceiling) VALUES ?';

/** Numbers in (floor, ceiling] that nobody was given before. */
export interface Block {
  readonly floor: number;
  readonly ceiling: number;
}

export class Ceilings {
  private readonly coalescer: Coalescer<Conversation, Block>;

  constructor(
    private readonly db: Database,
    private readonly metrics: Metrics,
  ) {
    this.coalescer = new Coalescer({
      run: (conversations) => this.reserveAll(conversations),
      maxBatch: MAX_BATCH,
      maxQueued: MAX_QUEUED,
    });
  }

  /** A new block above all blocks of this conversation so far; rejects when MySQL cannot. */
  reserve(conversation: Conversation): Promise<Block> {
    return this.coalescer.add(conversation);
  }

  private async reserveAll(conversations: Conversation[]): Promise<Block[]> {
    // One row for each conversation, in one order for all processes, so that they do not deadlock.
    const wanted = new Map(conversations.map((c) => [nameOf(c), c]));
    const sorted = [...wanted.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, c]) => c);
    const ceilings = (await this.reserveFirst(sorted)) ?? (await this.reserveNext(sorted));
    this.metrics.ceilingsReserved.inc(sorted.length);
    return conversations.map((conversation) => {
      const ceiling = ceilings.get(nameOf(conversation));
      if (ceiling === undefined) throw new Error('a ceiling just reserved is not there');
      return { floor: ceiling - BLOCK_SIZE, ceiling };
    });
  }

  /**
   * The ceilings of conversations that have none yet, which most are that ask: one statement, and what it
   * wrote is known. `undefined`, and nothing reserved, when one of them has a block already.
   */
  private async reserveFirst(
    conversations: readonly Conversation[],
  ): Promise<Map<string, number> | undefined> {
    try {
      await this.db.execute(INSERT, [rowsOf(conversations)]);
    } catch (error) {
      if (isDuplicate(error) || isLockConflict(error)) return undefined;
      throw error;
    }
    return new Map(conversations.map((c) => [nameOf(c), BLOCK_SIZE]));
  }

  private async reserveNext(conversations: readonly Conversation[]): Promise<Map<string, number>> {
    const rows = await this.db.transaction(async (tx) => {
      await tx.execute(`${INSERT} ON DUPLICATE KEY UPDATE ceiling = ceiling + ${BLOCK_SIZE}`, [
        rowsOf(conversations),
      ]);
      return tx.select<{ type: Conversation['type']; key: string; ceiling: number }>(
        `SELECT conversation_type AS type, conversation_key AS \`key\`, ceiling
         FROM sequence_ceilings WHERE (conversation_type, conversation_key) IN (?)`,
        [conversations.map((c) => [c.type, c.key])],
      );
    });
    return new Map(rows.map((row) => [nameOf(row), row.ceiling]));
  }
}

function rowsOf(conversations: readonly Conversation[]): (string | number)[][] {
  return conversations.map((c) => [c.type, c.key, BLOCK_SIZE]);
}

function nameOf(conversation: { type: string; key: string }): string {
  return `${conversation.type}:${conversation.key}`;
}
