/**
 * The bundles of exports: who they are of, how far they are written, and their chunks. Writing goes on
 * where it was: a chunk and the place after it are one transaction.
 */
import type { Marks, Section, SectionCounts, DeviceSpan } from '../../domain/export';
import { chunks as pieces } from './chunks';
import type { Database, Queryable } from './database';
import { erasedAmong } from './erased-messages';
import { erasedUsersAmong } from './erased-users';
import type { Cursor } from './export-rows';

export const BUNDLE_STATE = { writing: 0, complete: 1, removed: 2 } as const;

/** Chunks deleted by one statement: some ten MB. */
const CHUNKS_A_DELETE = 100;
/** Bundles looked for at once when they are to be removed. */
const MAX_BUNDLES = 100;

/** Where the writing of a bundle goes on. */
export interface Progress {
  readonly section: Section | 'end';
  /** Index among the section's scans. */
  readonly scan: number;
  readonly after: Cursor;
  readonly counts: SectionCounts;
}

/** The key a bundle is encrypted under: a data key of the user, or one of its own. */
export interface BundleKey {
  readonly keyId: string | null;
  readonly ownKey: Buffer | null;
}

export interface Bundle extends BundleKey {
  readonly bundleId: string;
  readonly userId: string;
  readonly state: number;
  readonly marks: Marks;
  readonly progress: Progress;
  readonly chunks: number;
  /** unix ms */
  readonly exportedAt: number;
  readonly expiresAt: number;
}

/** A piece of a bundle, and what is to be remembered with it. */
export interface BundleStep {
  readonly progress: Progress;
  /** `undefined`: nothing but the place moved. */
  readonly chunk?: { readonly section: Section; readonly sealed: Buffer };
  readonly devices?: readonly DeviceSpan[];
  /** Whose messages are in the chunk. */
  readonly senders?: readonly string[];
  readonly msgIds?: readonly string[];
  readonly expiresAt: number;
}

export interface BundleChunk {
  readonly section: Section;
  readonly sealed: Buffer;
}

/** The bundle is not there any more: it expired, or something in it was deleted. */
export class BundleGoneError extends Error {
  override readonly name = 'BundleGone';
}

/** Another attempt has written on in the meantime. */
export class BundleMovedError extends Error {
  override readonly name = 'BundleMoved';
}

/** What the chunk holds was erased since it was read, or is about to be: to be read again. */
export class ReadAgainError extends Error {
  override readonly name = 'ReadAgain';
}

interface BundleRow extends BundleKey {
  bundleId: string;
  userId: string;
  state: number;
  marks: string;
  progress: string;
  chunks: number;
  exportedAt: number;
  expiresAt: number;
}

export class ExportBundles {
  constructor(private readonly db: Database) {}

  /** Begins a bundle; one that is there already stays as it is. */
  async begin(bundle: Omit<Bundle, 'state' | 'chunks'>): Promise<void> {
    await this.db.execute(
      `INSERT INTO export_bundles
         (bundle_id, user_id, key_id, own_key, marks, progress, exported_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE bundle_id = export_bundles.bundle_id`,
      [
        bundle.bundleId,
        bundle.userId,
        bundle.keyId,
        bundle.ownKey,
        JSON.stringify(bundle.marks),
        JSON.stringify(bundle.progress),
        bundle.exportedAt,
        bundle.expiresAt,
      ],
    );
  }

  /** `undefined`: there is none, or none any more. */
  async find(bundleId: string): Promise<Bundle | undefined> {
    const [row] = await this.db.select<BundleRow>(
      `SELECT bundle_id AS bundleId, user_id AS userId, state, key_id AS keyId, own_key AS ownKey,
         marks, progress, chunks, exported_at AS exportedAt, expires_at AS expiresAt
       FROM export_bundles WHERE bundle_id = ? AND state <> ?`,
      [bundleId, BUNDLE_STATE.removed],
    );
    if (!row) return undefined;
    return {
      ...row,
      marks: JSON.parse(row.marks) as Marks,
      progress: JSON.parse(row.progress) as Progress,
    };
  }

  /**
   * Writes the step after `bundle`; rejects with {@link BundleMovedError} when that is not the last one,
   * with {@link BundleGoneError} when its user was erased, and with {@link ReadAgainError}.
   */
  async advance(
    bundle: Pick<Bundle, 'bundleId' | 'userId' | 'chunks'>,
    step: BundleStep,
  ): Promise<void> {
    const { bundleId, userId, chunks } = bundle;
    await this.db.transaction(async (tx) => {
      const { affectedRows } = await tx.execute(
        `UPDATE export_bundles SET progress = ?, chunks = ?, expires_at = ?
         WHERE bundle_id = ? AND chunks = ? AND state = ?`,
        [
          JSON.stringify(step.progress),
          step.chunk ? chunks + 1 : chunks,
          step.expiresAt,
          bundleId,
          chunks,
          BUNDLE_STATE.writing,
        ],
      );
      if (affectedRows === 0) throw new BundleMovedError('another attempt writes this bundle');
      if (step.chunk) {
        await tx.execute(
          'INSERT INTO export_bundle_chunks (bundle_id, chunk, section, sealed) VALUES (?, ?, ?, ?)',
          [bundleId, chunks, step.chunk.section, step.chunk.sealed],
        );
      }
      await noteDevices(tx, bundleId, step.devices ?? []);
      await noteSenders(tx, bundleId, step.senders ?? []);
      // After the inserts: whoever removes bundles lists what is erased first, then waits for them.
      const users = await erasedUsersAmong(tx, [userId, ...(step.senders ?? [])]);
      if (users.has(userId)) throw new BundleGoneError('its user was erased');
      const messages = await erasedAmong(tx, step.msgIds ?? []);
      if (users.size + messages.size > 0) throw new ReadAgainError('what was read is being erased');
    });
  }

  /** Makes the bundle one that can be fetched; may be repeated. */
  async complete(bundleId: string, expiresAt: number): Promise<void> {
    await this.db.execute(
      'UPDATE export_bundles SET state = ?, expires_at = ? WHERE bundle_id = ? AND state = ?',
      [BUNDLE_STATE.complete, expiresAt, bundleId, BUNDLE_STATE.writing],
    );
    await this.db.execute('DELETE FROM export_devices WHERE bundle_id = ?', [bundleId]);
  }

  /** Removes the user's complete bundles but the newest `keep`: to ask again and again fills no disk. */
  async removeOlder(userId: string, keep: number): Promise<void> {
    const older = await this.db.select<{ bundleId: string }>(
      `SELECT bundle_id AS bundleId FROM export_bundles WHERE user_id = ? AND state = ?
       ORDER BY exported_at DESC, bundle_id LIMIT ? OFFSET ?`,
      [userId, BUNDLE_STATE.complete, MAX_BUNDLES, keep],
    );
    for (const { bundleId } of older) await this.remove(bundleId, Infinity);
  }

  async chunk(bundleId: string, chunk: number): Promise<BundleChunk | undefined> {
    const [row] = await this.db.select<BundleChunk>(
      'SELECT section, sealed FROM export_bundle_chunks WHERE bundle_id = ? AND chunk = ?',
      [bundleId, chunk],
    );
    return row;
  }

  /**
   * Removes bundles past their time, at most about `limit` rows of theirs; returns how many. Fewer than
   * `limit`: nothing is left to do.
   */
  async purgeExpired(now: number, limit: number): Promise<number> {
    const due = await this.db.select<{ bundleId: string }>(
      `SELECT bundle_id AS bundleId FROM export_bundles
       WHERE state IN (?) AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
      [Object.values(BUNDLE_STATE), now, MAX_BUNDLES],
    );
    let removed = 0;
    for (const { bundleId } of due) {
      if (removed >= limit) break;
      removed += await this.remove(bundleId, limit - removed);
    }
    return removed;
  }

  /** Removes every bundle of a user; returns how many. For the erasure of that user. */
  async removeOf(userId: string): Promise<number> {
    // Waits for a chunk that is being written: later ones are refused.
    await this.db.transaction((tx) =>
      tx.select('SELECT bundle_id FROM export_bundles WHERE user_id = ? LOCK IN SHARE MODE', [
        userId,
      ]),
    );
    return this.removeAll(() =>
      this.db.select('SELECT bundle_id AS bundleId FROM export_bundles WHERE user_id = ? LIMIT ?', [
        userId,
        MAX_BUNDLES,
      ]),
    );
  }

  /**
   * Removes every bundle that holds messages of this sender, finished or not; returns how many. Given
   * `holders`, those of other users stay.
   */
  async removeWithMessagesOf(senderId: string, holders?: readonly string[]): Promise<number> {
    if (holders?.length === 0) return 0;
    // As above; no other table in it, so that nobody waits for us meanwhile.
    await this.db.transaction((tx) =>
      tx.select('SELECT COUNT(*) FROM export_senders WHERE sender_id = ? LOCK IN SHARE MODE', [
        senderId,
      ]),
    );
    return this.removeAll(() =>
      this.db.select(
        `SELECT b.bundle_id AS bundleId FROM export_senders s
         JOIN export_bundles b ON b.bundle_id = s.bundle_id
         WHERE s.sender_id = ?${holders ? ' AND b.user_id IN (?)' : ''} LIMIT ?`,
        [senderId, ...(holders ? [holders] : []), MAX_BUNDLES],
      ),
    );
  }

  private async removeAll(find: () => Promise<{ bundleId: string }[]>): Promise<number> {
    let removed = 0;
    for (;;) {
      const found = await find();
      for (const { bundleId } of found) await this.remove(bundleId, Infinity);
      removed += found.length;
      if (found.length < MAX_BUNDLES) return removed;
    }
  }

  /** Takes the bundle out of use at once, then its rows, at most `limit`; returns how many rows. */
  private async remove(bundleId: string, limit: number): Promise<number> {
    // Without its key, what is left of a bundle of its own key is noise already.
    await this.db.execute(
      'UPDATE export_bundles SET state = ?, own_key = NULL, key_id = NULL WHERE bundle_id = ?',
      [BUNDLE_STATE.removed, bundleId],
    );
    let removed = 0;
    for (const table of ['export_bundle_chunks', 'export_devices', 'export_senders']) {
      for (;;) {
        if (removed >= limit) return removed;
        const { affectedRows } = await this.db.execute(
          `DELETE FROM ${table} WHERE bundle_id = ? LIMIT ?`,
          [bundleId, CHUNKS_A_DELETE],
        );
        removed += affectedRows;
        if (affectedRows < CHUNKS_A_DELETE) break;
      }
    }
    await this.db.execute('DELETE FROM export_bundles WHERE bundle_id = ?', [bundleId]);
    return removed + 1;
  }
}

async function noteDevices(
  tx: Queryable,
  bundleId: string,
  devices: readonly DeviceSpan[],
): Promise<void> {
  for (const piece of pieces(devices)) {
    await tx.execute(
      `INSERT INTO export_devices (bundle_id, device_id, first_seen, last_seen) VALUES ?
       ON DUPLICATE KEY UPDATE first_seen = LEAST(first_seen, VALUES(first_seen)),
         last_seen = GREATEST(last_seen, VALUES(last_seen))`,
      [piece.map((d) => [bundleId, d.deviceId, d.firstSeen, d.lastSeen])],
    );
  }
}

async function noteSenders(
  tx: Queryable,
  bundleId: string,
  senders: readonly string[],
): Promise<void> {
  for (const piece of pieces(senders)) {
    await tx.execute(
      `INSERT INTO export_senders (bundle_id, sender_id) VALUES ?
       ON DUPLICATE KEY UPDATE sender_id = export_senders.sender_id`,
      [piece.map((senderId) => [bundleId, senderId])],
    );
  }
}
