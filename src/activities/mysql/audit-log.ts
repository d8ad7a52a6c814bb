/**
 * The audit log: who asked for what, when, and what came of it. Append-only for the service's own
 * database user (see schema.ts) and chained: each row's hash covers the row and the hash before it, so
 * that a row changed, added or removed behind our back is found by `npm run audit -- verify`.
 */
import { createHash } from 'node:crypto';
import type { Database, Queryable } from './database';

export interface AuditEvent {
  /** A user id, or `system`: see `isByService`. */
  readonly actor: string;
  /** `message.delete`, `user.export`, … */
  readonly action: string;
  readonly subjectKind: 'message' | 'user' | 'conversation' | 'job';
  readonly subjectId: string;
  readonly outcome: string;
  /** Ids, counts and times; never content. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Names the event: appended a second time it changes nothing. */
  readonly entryKey: string;
}

export interface AuditEntry extends Omit<AuditEvent, 'details'> {
  readonly seq: number;
  /** Unix ms. */
  readonly at: number;
  /** JSON. */
  readonly details: string;
  readonly prevHash: string;
  readonly hash: string;
}

export interface AuditFilter {
  readonly actor?: string;
  readonly action?: string;
  readonly subjectKind?: string;
  readonly subjectId?: string;
  readonly from?: number;
  readonly to?: number;
}

/** The first row that is not as it was written, and what is wrong with it. */
export interface BrokenEntry {
  readonly seq: number;
  readonly problem: string;
}

export interface Verified {
  /** Rows that are as they were written. */
  readonly intact: number;
  readonly broken?: BrokenEntry;
}

const NO_HASH = '0'.repeat(64);
const VERIFY_PAGE = 1_000;
const COLUMNS = `seq, at, actor, action, subject_kind AS subjectKind, subject_id AS subjectId, outcome,
  details, entry_key AS entryKey, prev_hash AS prevHash, hash`;

/** Appends one event in the caller's transaction; others who append wait for its end. */
export async function appendAudit(tx: Queryable, event: AuditEvent, now: number): Promise<void> {
  const [head] = await tx.select<{ seq: number; hash: string }>(
    'SELECT seq, hash FROM audit_head WHERE id = 1 FOR UPDATE',
  );
  if (!head) throw new Error('audit_head has no row');
  const before = await tx.select('SELECT seq FROM audit_logs WHERE entry_key = ?', [
    event.entryKey,
  ]);
  if (before.length > 0) return;
  const details = JSON.stringify(event.details);
  const entry = { ...event, details, seq: head.seq + 1, at: now, prevHash: head.hash };
  const hash = hashOf(entry);
  await tx.execute(
    `INSERT INTO audit_logs (seq, at, actor, action, subject_kind, subject_id, outcome, details,
       entry_key, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      entry.seq,
      entry.at,
      entry.actor,
      entry.action,
      entry.subjectKind,
      entry.subjectId,
      entry.outcome,
      entry.details,
      entry.entryKey,
      entry.prevHash,
      hash,
    ],
  );
  await tx.execute('UPDATE audit_head SET seq = ?, hash = ? WHERE id = 1', [entry.seq, hash]);
}

/** SHA-256 over the hash before and the row; a JSON array keeps its fields apart. */
function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  const { prevHash, seq, at, actor, action, subjectKind, subjectId, outcome } = entry;
  const row = [prevHash, seq, at, actor, action, subjectKind, subjectId, outcome];
  return createHash('sha256')
    .update(JSON.stringify([...row, entry.details, entry.entryKey]))
    .digest('hex');
}

export class AuditLog {
  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {}

  /** Appends one event in a transaction of its own. */
  async append(event: AuditEvent): Promise<void> {
    await this.db.transaction((tx) => appendAudit(tx, event, this.now()));
  }

  /** The last `limit` entries before `beforeSeq`, newest first. */
  async page(filter: AuditFilter, beforeSeq: number, limit: number): Promise<AuditEntry[]> {
    const conditions: [string, string | number | undefined][] = [
      ['seq < ?', beforeSeq],
      ['actor = ?', filter.actor],
      ['action = ?', filter.action],
      ['subject_kind = ?', filter.subjectKind],
      ['subject_id = ?', filter.subjectId],
      ['at >= ?', filter.from],
      ['at < ?', filter.to],
    ];
    const given = conditions.filter(([, value]) => value !== undefined);
    return this.db.select<AuditEntry>(
      `SELECT ${COLUMNS} FROM audit_logs WHERE ${given.map(([sql]) => sql).join(' AND ')}
       ORDER BY seq DESC LIMIT ?`,
      [...given.map(([, value]) => value), limit],
    );
  }

  /** Walks the whole chain, page by page, up to where it ended when this began. */
  async verify(): Promise<Verified> {
    // One statement, so one moment: rows beyond the head were not appended by us.
    const [end] = await this.db.select<{ seq: number; hash: string; last: number | null }>(
      `SELECT h.seq, h.hash, (SELECT MAX(seq) FROM audit_logs) AS last
       FROM audit_head h WHERE h.id = 1`,
    );
    if (!end) return { intact: 0, broken: { seq: 0, problem: 'audit_head has no row' } };
    let before = { seq: 0, hash: NO_HASH };
    while (before.seq < end.seq) {
      const rows = await this.db.select<AuditEntry>(
        `SELECT ${COLUMNS} FROM audit_logs WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
        [before.seq, end.seq, VERIFY_PAGE],
      );
      if (rows.length === 0) return brokenAt(before.seq, 'it is missing, the end was cut off');
      for (const row of rows) {
        const problem = problemOf(row, before);
        if (problem) return brokenAt(before.seq, problem);
        before = row;
      }
    }
    if (before.hash !== end.hash)
      return brokenAt(end.seq - 1, 'it is not the one audit_head names');
    if ((end.last ?? 0) > end.seq) return brokenAt(end.seq, 'it was not appended by the service');
    return { intact: before.seq };
  }
}

function brokenAt(intact: number, problem: string): Verified {
  return { intact, broken: { seq: intact + 1, problem } };
}

function problemOf(row: AuditEntry, before: { seq: number; hash: string }): string | undefined {
  if (row.seq !== before.seq + 1) return 'it is missing';
  if (row.prevHash !== before.hash) return 'it does not follow the row before it';
  if (row.hash !== hashOf(row)) return 'it was changed';
  return undefined;
}
