/**
 * In which conversations the service has seen a user: they sent or read there, something waited for
 * them, or they are a member. By keys that serve other purposes, a page at a time: an index for it alone
 * would be written with every message, and holds are rare.
 */
import type { HoldPlace } from '../../domain/holds';
import type { Database } from './database';

export type SeenPlace = HoldPlace['conversation'];

/** How far each source of {@link SOURCES} was read, to be read from there the next time. */
export type Marks = number[];

/** Rows of one statement, each looked up by its key: far below a statement's time also on slow disks. */
const PAGE = 2_000;
/**
 * Ids below a table's highest among which a row may yet be committed: what is written in some ten seconds
 * at ten thousand a second. Those are read anew.
 */
const UNSETTLED = 100_000;

interface Source {
  /** Of the user's rows, `at` being the mark. */
  readonly rows: string;
  /** The highest mark of the table; none where marks are committed in their order. */
  readonly highest?: string;
}

const SOURCES: readonly Source[] = [
  {
    rows: `SELECT id AS at, conversation_type AS type, conversation_key AS \`key\`
           FROM messages FORCE INDEX (ix_messages_sender)
           WHERE sender_id = ? AND id > ? ORDER BY id LIMIT ${PAGE}`,
    highest: 'SELECT MAX(id) AS at FROM messages',
  },
  {
    rows: `SELECT id AS at, conversation_type AS type, conversation_key AS \`key\`
           FROM read_receipts FORCE INDEX (ix_read_receipts_by_reader)
           WHERE reader_id = ? AND id > ? ORDER BY id LIMIT ${PAGE}`,
    highest: 'SELECT MAX(id) AS at FROM read_receipts',
  },
  {
    rows: `SELECT i.position AS at, m.conversation_type AS type, m.conversation_key AS \`key\`
           FROM (SELECT position, msg_id FROM inbox FORCE INDEX (PRIMARY)
                 WHERE user_id = ? AND position > ? ORDER BY position LIMIT ${PAGE}) i
           LEFT JOIN messages m ON m.msg_id = i.msg_id`,
  },
];

export class Sightings {
  constructor(private readonly db: Database) {}

  /**
   * The conversations, some at a time and some of them repeatedly. Those read before `marks` are left
   * out, and `marks` follows once the caller has dealt with a page. Of private ones not all: what was
   * sent to the user, and they have not read.
   */
  async *of(userId: string, marks: Marks, signal?: AbortSignal): AsyncGenerator<SeenPlace[]> {
    const groups = await this.db.select<{ key: string }>(
      `SELECT group_id AS \`key\` FROM group_reads WHERE user_id = ?
       UNION SELECT group_id FROM group_memberships WHERE user_id = ?`,
      [userId, userId],
    );
    yield groups.map(({ key }) => ({ type: 'group', key }));
    for (const [i, source] of SOURCES.entries())
      yield* this.pages(userId, source, marks, i, signal);
  }

  private async *pages(
    userId: string,
    { rows, highest }: Source,
    marks: Marks,
    i: number,
    signal?: AbortSignal,
  ): AsyncGenerator<SeenPlace[]> {
    const settled = highest === undefined ? Infinity : await this.highest(highest);
    for (let after = marks[i] ?? 0; ;) {
      signal?.throwIfAborted();
      const found = await this.db.select<SeenPlace & { n: number; last: number }>(
        `SELECT type, \`key\`, COUNT(*) AS n, MAX(at) AS last FROM (${rows}) page GROUP BY type, \`key\``,
        [userId, after],
      );
      // Of an inbox row whose message is gone nothing is known any more.
      yield found.filter(({ type }) => type !== null);
      if (found.length > 0) after = Math.max(...found.map(({ last }) => last));
      marks[i] = Math.max(marks[i] ?? 0, Math.min(after, settled));
      if (found.reduce((sum, { n }) => sum + n, 0) < PAGE) return;
    }
  }

  private async highest(sql: string): Promise<number> {
    const [row] = await this.db.select<{ at: number | null }>(sql);
    return Math.max(0, (row?.at ?? 0) - UNSETTLED);
  }
}
