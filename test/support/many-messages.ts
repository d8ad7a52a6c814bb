/** Many stored messages of one user, made by MySQL itself. */
import type { Database } from '../../src/activities/mysql/database';
import { unique } from './ids';

/** Messages of one statement, as many as four digits count; it ends well within any deadline. */
const BATCH = 10_000;
const DIGITS = Array.from({ length: 10 }, (_, digit) => `SELECT ${digit} AS d`).join(' UNION ALL ');
const NUMBERS = `SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n
  FROM (${DIGITS}) a, (${DIGITS}) b, (${DIGITS}) c, (${DIGITS}) e`;
/** Others with whom the messages are exchanged. */
const PEERS = 50;

/** Private messages of about 200 bytes, to and from others, all of them delivered to a device. */
export async function fillMessages(
  db: Pick<Database, 'execute'>,
  userId: string,
  counts: { readonly sent: number; readonly received: number },
): Promise<void> {
  const run = unique('run');
  for (const type of ['sent', 'received'] as const) {
    const peer = `CONCAT('${run}-peer-', n % ${PEERS})`;
    const [sender, recipient] = type === 'sent' ? ['?', peer] : [peer, '?'];
    for (let from = 0; from < counts[type]; from += BATCH) {
      await db.execute(
        `INSERT INTO messages (msg_id, conversation_type, conversation_key, sequence_number,
           sender_id, recipient_id, content, timestamp, created_at, delivered_at, delivered_devices)
         SELECT CONCAT('${run}-${type}-', n + ?), 'private', CONCAT(?, '/', ${peer}), n + ?,
           ${sender}, ${recipient}, CONCAT('message ', n, REPEAT(' of some length', 12)),
           1706180400000 + n, 1706180400000 + n, 1706180400100 + n, '["phone"]'
         FROM (${NUMBERS}) numbers WHERE n < ? ORDER BY n`,
        [from, userId, from, userId, counts[type] - from],
      );
    }
  }
}
