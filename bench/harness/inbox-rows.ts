/** Fills empty tables with messages that wait, by INSERT..SELECT: millions in minutes. */
import { createConnection } from 'mysql2/promise';
import type { Connection } from 'mysql2/promise';

/** Far from now. */
const EXPIRES_AT = 9_000_000_000_000;
const DIGITS = `(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
  UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)`;

/**
 * Fills up to `total` messages (below ten million) into tables that are empty; what an earlier run filled
 * stays. `user` is an SQL expression of the message's number `n`: every user's messages are mixed with the
 * others', as they come in life. Whole tables at once: into an empty table, and without checks, MariaDB
 * sorts the rows and writes each index in one go.
 */
export async function fillInboxes(url: string, total: number, user: string): Promise<void> {
  const on = await createConnection(url);
  try {
    if (await hasRows(on, 'inbox_heads')) return;
    const digits = [...'abcdefg'].map((name) => `${DIGITS} ${name}`).join(', ');
    const numbers = `(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d
      + 1000000 * g.d + 1 AS n FROM ${digits}) numbers WHERE n <= ${total} ORDER BY n`;
    await on.query('SET SESSION unique_checks = 0, foreign_key_checks = 0');
    await fillTable(
      on,
      'messages',
      `INSERT INTO messages (id, msg_id, conversation_type, conversation_key, sequence_number,
         sender_id, recipient_id, content, timestamp, created_at)
       SELECT n, CONCAT('bench-', n), 'private', CONCAT('a-sender/', ${user}), n, 'a-sender', ${user},
         REPEAT('x', 200), n, n FROM ${numbers}`,
    );
    await fillTable(
      on,
      'inbox',
      `INSERT INTO inbox (user_id, position, msg_id, expires_at)
       SELECT ${user}, n, CONCAT('bench-', n), ${EXPIRES_AT} FROM ${numbers}`,
    );
    await on.query('ANALYZE TABLE messages, inbox');
    await on.query(
      `INSERT INTO inbox_heads (user_id, last_position, pending)
       SELECT user_id, MAX(position), COUNT(*) FROM inbox WHERE state = 0 GROUP BY user_id`,
    );
  } finally {
    await on.end();
  }
}

async function fillTable(on: Connection, table: string, insert: string): Promise<void> {
  if (await hasRows(on, table)) return;
  const began = Date.now();
  await on.query(insert);
  console.error(`${table}: filled in ${Math.round((Date.now() - began) / 1000)} s`);
}

async function hasRows(on: Connection, table: string): Promise<boolean> {
  const [rows] = await on.query(`SELECT 1 FROM ${table} LIMIT 1`);
  return (rows as unknown[]).length > 0;
}
