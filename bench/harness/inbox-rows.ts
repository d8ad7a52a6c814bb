/** Fills the tables with messages that wait, by INSERT..SELECT: millions in minutes. */
import type { Database } from '../../src/activities/mysql/database';

/** Rows of one statement. */
const STEP = 50_000;
/** Far from now. */
const EXPIRES_AT = 9_000_000_000_000;

const DIGITS = `(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
  UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)`;

/**
 * Fills up to `total` messages; those of an earlier run stay. `user` is an SQL expression of the
 * message's number `n`: every user's messages are mixed with the others', as they come in life.
 */
export async function fillInboxes(db: Database, total: number, user: string): Promise<void> {
  const [state] = await db.select<{ n: number | null }>('SELECT MAX(id) AS n FROM messages');
  for (let from = state?.n ?? 0; from < total; from += STEP) {
    const numbers = `(SELECT ${from} + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1 AS n
      FROM ${DIGITS} a, ${DIGITS} b, ${DIGITS} c, ${DIGITS} e,
        (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) f) numbers`;
    await db.execute(
      `INSERT INTO messages (id, msg_id, conversation_type, conversation_key, sequence_number,
         sender_id, recipient_id, content, timestamp, created_at)
       SELECT n, CONCAT('bench-', n), 'private', CONCAT('a-sender/', ${user}), n, 'a-sender', ${user},
         REPEAT('x', 200), n, n FROM ${numbers}`,
    );
    await db.execute(
      `INSERT INTO inbox (user_id, position, msg_id, expires_at)
       SELECT ${user}, n, CONCAT('bench-', n), ${EXPIRES_AT} FROM ${numbers}`,
    );
    process.stderr.write(`\r${Math.min(from + STEP, total)} of ${total} messages`);
  }
  await db.execute(
    `REPLACE INTO inbox_heads (user_id, last_position, pending)
     SELECT user_id, MAX(position), COUNT(*) FROM inbox WHERE state = 0 GROUP BY user_id`,
  );
  await db.execute('ANALYZE TABLE messages, inbox, inbox_heads');
  process.stderr.write('\n');
}
