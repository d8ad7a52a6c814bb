/** Receipts of many readers, written as they are found, without what recording them does besides. */
import { chunks } from '../../src/activities/mysql/chunks';
import type { Database } from '../../src/activities/mysql/database';
import type { SequencedMessage } from '../../src/domain/message';

/** One of each reader for each message, recorded and published at 1,000 and on. */
export async function fillReceipts(
  db: Pick<Database, 'execute'>,
  messages: readonly SequencedMessage[],
  readers: readonly string[],
): Promise<void> {
  const rows = messages.flatMap(({ msgId, senderId, conversation: { type, key } }) =>
    readers.map((reader, i) => [msgId, reader, '', senderId, type, key, 1_000 + i, 1_000, 1_000]),
  );
  for (const piece of chunks(rows)) {
    await db.execute(
      `INSERT INTO read_receipts (msg_id, reader_id, device_id, sender_id, conversation_type,
         conversation_key, read_at, recorded_at, published_at) VALUES ?`,
      [piece],
    );
  }
}
