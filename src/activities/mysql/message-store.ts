/**
 * Keeps messages: content once, and one inbox row for each recipient who has yet to get it.
 * Every call may be repeated with the same input and then changes nothing.
 */
import type { DeliveredEntry, Delivery, OfflineEntry } from '../../domain/inbox';
import type { MessageStatus, SequencedMessage } from '../../domain/message';
import { chunks } from './chunks';
import { isDuplicate } from './database';
import type { Database, Queryable } from './database';
import { erasedUsersAmong } from './erased-users';
import {
  compare,
  devicesOf,
  insertMessages,
  mergeDeliveries,
  MESSAGE_COLUMNS,
  toMessage,
} from './message-rows';
import type { MessageRow } from './message-rows';

/** What a batch of offline messages came to. */
export interface Stored {
  /** Rows that are new, for each recipient who has any. */
  readonly newRows: ReadonlyMap<string, number>;
  /** Entries whose id another sender's or conversation's message has; nothing was stored for them. */
  readonly conflicting: ReadonlySet<OfflineEntry>;
}

/** A stored message and what became of it. */
export interface StoredMessage {
  readonly message: SequencedMessage;
  /** Of a private message, once it reached a device; times are unix ms. */
  readonly delivery: Omit<Delivery, 'msgId'> | undefined;
  /** It has, or had, a row in its recipient's inbox. */
  readonly waited: boolean;
}

/** One row that is to be in `inbox`. */
export interface Place {
  readonly userId: string;
  readonly msgId: string;
  readonly expiresAt: number;
}

export class MessageStore {
  /** `ttlMs`: how long a message waits for its recipient, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly options: { readonly ttlMs: number },
  ) {}

  /**
   * Stores each message (once, however many entries have it) and its place in the inbox of each of its
   * recipients, in one transaction; a user's positions follow the order of the entries. Nothing is
   * stored of a sender who was erased, and no place for a recipient who was.
   */
  async storeOffline(entries: readonly OfflineEntry[]): Promise<Stored> {
    if (entries.length === 0) return { newRows: new Map(), conflicting: new Set() };
    return this.db.transaction(async (tx) => {
      const erased = await erasedUsersAmong(
        tx,
        entries.flatMap(({ message, recipients }) => [message.senderId, ...recipients]),
      );
      const live = entries.filter(({ message }) => !erased.has(message.senderId));
      // Heads before messages: whoever shares a recipient with us waits here, holding nothing yet.
      const users = [...new Set(live.flatMap((entry) => entry.recipients))]
        .filter((userId) => !erased.has(userId))
        .sort(compare);
      const heads = await lockHeads(tx, users);
      const { kept, conflicting } = await insertMessages(tx, live);
      const wanted = this.places(kept).filter(({ userId }) => !erased.has(userId));
      const newRows = await insertPlaces(tx, wanted, heads);
      await raiseHeads(tx, newRows);
      return { newRows, conflicting };
    });
  }

  /**
   * Stores messages that were delivered at once, in one transaction. Returns the entries whose id
   * another sender's or conversation's message has; nothing was stored for them, nor for those of a
   * sender who was erased, and no devices of a recipient who was.
   */
  async storeDelivered(entries: readonly DeliveredEntry[]): Promise<ReadonlySet<DeliveredEntry>> {
    if (entries.length === 0) return new Set();
    return this.db.transaction(async (tx) => {
      const erased = await erasedUsersAmong(
        tx,
        entries.flatMap(({ message: { senderId, recipientId = senderId } }) => [
          senderId,
          recipientId,
        ]),
      );
      const live = entries.filter(({ message }) => !erased.has(message.senderId));
      // What is stored, by what was given: the caller knows its own entries again.
      const given = new Map(live.map((entry) => [withoutDevicesOf(erased, entry), entry]));
      const { kept, written, conflicting } = await insertMessages(tx, [...given.keys()]);
      // Of those that were stored before: as offline, or by another attempt of the same send.
      const deliveries = kept
        .filter((entry) => !written.has(entry))
        .map(({ message, deliveredAt, devices }) => {
          return { msgId: message.msgId, deliveredAt, devices };
        })
        .sort((a, b) => compare(a.msgId, b.msgId));
      await mergeDeliveries(tx, deliveries);
      return new Set([...conflicting].map((entry) => given.get(entry) ?? entry));
    });
  }

  /** What became of a stored message; `undefined` when there is none of this id. */
  async findStatus(msgId: string): Promise<MessageStatus | undefined> {
    const [row] = await this.db.select<{
      delivered_at: number | null;
      read_at: number | null;
      delivered_devices: string | null;
      inbox_state: number | null;
    }>(
      `SELECT m.delivered_at, m.read_at, m.delivered_devices, i.state AS inbox_state
       FROM messages m LEFT JOIN inbox i ON i.user_id = m.recipient_id AND i.msg_id = m.msg_id
       WHERE m.msg_id = ?`,
      [msgId],
    );
    if (!row) return undefined;
    return {
      status: statusOf(row),
      deliveredAt: row.delivered_at ?? 0,
      readAt: row.read_at ?? 0,
      deliveredDevices: devicesOf(row.delivered_devices),
    };
  }

  /** Those of the messages that are stored, by id. */
  async findMessages(msgIds: readonly string[]): Promise<Map<string, StoredMessage>> {
    const found = new Map<string, StoredMessage>();
    for (const piece of chunks([...new Set(msgIds)])) {
      const rows = await this.db.select<
        MessageRow & {
          delivered_at: number | null;
          delivered_devices: string | null;
          waited: number;
        }
      >(
        `SELECT ${MESSAGE_COLUMNS}, m.delivered_at, m.delivered_devices,
           EXISTS (SELECT 1 FROM inbox i
                   WHERE i.user_id = m.recipient_id AND i.msg_id = m.msg_id) AS waited
         FROM messages m WHERE m.msg_id IN (?)`,
        [piece],
      );
      for (const row of rows) found.set(row.msg_id, toStored(row));
    }
    return found;
  }

  private places(entries: readonly OfflineEntry[]): Place[] {
    const places = new Map<string, Place>();
    for (const { message, recipients } of entries) {
      const expiresAt = message.acceptedAt + this.options.ttlMs;
      for (const userId of recipients) {
        const place = { userId, msgId: message.msgId, expiresAt };
        if (!places.has(nameOf(place))) places.set(nameOf(place), place);
      }
    }
    return [...places.values()];
  }
}

function withoutDevicesOf(erased: ReadonlySet<string>, entry: DeliveredEntry): DeliveredEntry {
  return erased.has(entry.message.recipientId ?? '') ? { ...entry, devices: [] } : entry;
}

function toStored(
  row: MessageRow & {
    delivered_at: number | null;
    delivered_devices: string | null;
    waited: number;
  },
): StoredMessage {
  return {
    message: toMessage(row),
    delivery:
      row.delivered_at === null
        ? undefined
        : { deliveredAt: row.delivered_at, devices: devicesOf(row.delivered_devices) },
    waited: row.waited === 1,
  };
}

/** Inbox states; the migration documents the first three. */
export const INBOX_STATE = {
  pending: 0,
  delivered: 1,
  expired: 2,
  /** The row is a place for cursors only; see erased-name.ts. */
  erased: 3,
} as const;

function statusOf(row: {
  read_at: number | null;
  delivered_at: number | null;
  inbox_state: number | null;
}): MessageStatus['status'] {
  if (row.read_at !== null) return 'read';
  if (row.delivered_at !== null) return 'delivered';
  return row.inbox_state === INBOX_STATE.expired ? 'failed' : 'pending';
}

/** Locks the users' heads, making those that are missing; returns each one's last position. */
export async function lockHeads(
  tx: Queryable,
  users: readonly string[],
): Promise<Map<string, number>> {
  const heads = new Map<string, number>();
  for (const piece of chunks(users)) {
    // Inserting locks, in our order, the rows that are there as well.
    await tx.execute(
      'INSERT INTO inbox_heads (user_id) VALUES ? ON DUPLICATE KEY UPDATE user_id = inbox_heads.user_id',
      [piece.map((userId) => [userId])],
    );
    const rows = await tx.select<{ user_id: string; last_position: number }>(
      'SELECT user_id, last_position FROM inbox_heads WHERE user_id IN (?) ORDER BY user_id FOR UPDATE',
      [piece],
    );
    for (const row of rows) heads.set(row.user_id, row.last_position);
  }
  return heads;
}

/** Of the places of one statement those that have no row yet, whatever its state. The heads are locked: the answer stays true. */
async function absentOf(tx: Queryable, places: readonly Place[]): Promise<Place[]> {
  const rows = await tx.select<{ userId: string; msgId: string }>(
    // Left to choose among all indexes, the optimizer plans for 100 ms before it reads a row.
    `SELECT user_id AS userId, msg_id AS msgId FROM inbox FORCE INDEX (uk_inbox_message)
     WHERE (msg_id, user_id) IN (?)`,
    [places.map((place) => [place.msgId, place.userId])],
  );
  const present = new Set(rows.map(nameOf));
  return places.filter((place) => !present.has(nameOf(place)));
}

const INSERT_PLACES = 'INSERT INTO inbox (user_id, position, msg_id, expires_at) VALUES ?';

/**
 * Inserts the places that have no row yet after their users' last positions; returns how many each user
 * got. Nearly always none has one, so that is asked only when the insert says so.
 */
export async function insertPlaces(
  tx: Queryable,
  places: readonly Place[],
  heads: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  let counts = new Map<string, number>();
  for (const piece of chunks(places)) {
    let numbered = numberPlaces(piece, heads, counts);
    if (!(await insertIfAllNew(tx, numbered.rows))) {
      numbered = numberPlaces(await absentOf(tx, piece), heads, counts);
      if (numbered.rows.length > 0) await tx.execute(INSERT_PLACES, [numbered.rows]);
    }
    counts = numbered.counts;
  }
  return counts;
}

/** False, and nothing inserted, when one of them has a row; the transaction goes on either way. */
async function insertIfAllNew(tx: Queryable, rows: (string | number)[][]): Promise<boolean> {
  try {
    await tx.execute(INSERT_PLACES, [rows]);
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

/** Rows for places behind those that users have and got, and how many each one has got then. */
function numberPlaces(
  places: readonly Place[],
  heads: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
): { rows: (string | number)[][]; counts: Map<string, number> } {
  const counts = new Map(before);
  const rows = places.map(({ userId, msgId, expiresAt }) => {
    const count = (counts.get(userId) ?? 0) + 1;
    counts.set(userId, count);
    return [userId, (heads.get(userId) ?? 0) + count, msgId, expiresAt];
  });
  return { rows, counts };
}

export async function raiseHeads(
  tx: Queryable,
  newRows: ReadonlyMap<string, number>,
): Promise<void> {
  // The rows exist and are ours: this updates, it never inserts.
  for (const piece of chunks([...newRows])) {
    await tx.execute(
      `INSERT INTO inbox_heads (user_id, last_position, pending) VALUES ?
       ON DUPLICATE KEY UPDATE last_position = inbox_heads.last_position + VALUES(last_position),
         pending = inbox_heads.pending + VALUES(pending)`,
      [piece.map(([userId, count]) => [userId, count, count])],
    );
  }
}

/** No id contains `/`. */
function nameOf(place: { userId: string; msgId: string }): string {
  return `${place.userId}/${place.msgId}`;
}
