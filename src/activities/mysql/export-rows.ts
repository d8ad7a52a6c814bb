/**
 * Everything that is stored about one user, in pages by keyset: each page is one short statement, so
 * that an export of any size holds neither a transaction nor memory. What an export is to show is
 * settled when it begins, by {@link Marks}.
 */
import { conversationOf } from '../../domain/ids';
import type { ConversationType } from '../../domain/ids';
import type { AuditRecord, DeviceSpan, Marks, Section } from '../../domain/export';
import { isByService } from '../../domain/gdpr';
import type { SequencedMessage } from '../../domain/message';
import type { Receipt } from '../../domain/receipts';
import type { Database } from './database';
import { erasedAmong } from './erased-messages';
import { erasedUsersAmong } from './erased-users';
import { devicesOf, MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';

/** Where a scan goes on: the key of the last row read; empty at its beginning. */
export type Cursor = readonly (string | number)[];

/** What each section is read from, in this order. */
export const SCANS = {
  messages: ['sent', 'received', 'waited', 'logged'],
  receipts: ['given', 'got'],
  devices: ['devices'],
  audit: ['acted', 'named'],
} as const satisfies Record<Section, readonly string[]>;
export type Scan = (typeof SCANS)[Section][number];

/** Whose data is read, and up to where. */
export interface Subject {
  readonly bundleId: string;
  readonly userId: string;
  readonly marks: Marks;
}

export type ExportRow =
  | { readonly kind: 'message'; readonly after: Cursor; readonly row: StoredExport }
  | { readonly kind: 'receipt'; readonly after: Cursor; readonly row: ReceiptExport }
  | { readonly kind: 'device'; readonly after: Cursor; readonly row: DeviceSpan }
  | AuditRow;
interface AuditRow {
  readonly kind: 'audit';
  readonly after: Cursor;
  readonly row: AuditRecord;
}

export interface StoredExport {
  readonly type: 'sent' | 'received';
  readonly message: SequencedMessage;
  readonly deliveredAt: number | undefined;
  readonly readAt: number | undefined;
  /** The user's own that it reached. */
  readonly devices: readonly string[];
}

export interface ReceiptExport {
  readonly type: 'given' | 'received';
  readonly receipt: Receipt;
}

export interface ExportPage<Row extends ExportRow = ExportRow> {
  readonly rows: readonly Row[];
  /** Where the next page begins; `undefined`: the scan has ended. */
  readonly next: Cursor | undefined;
}

/** Rows of a page: some MB of the largest messages. */
const PAGE_ROWS = 500;
/** Stays in large groups looked through for one page. */
const MAX_STAYS = 50;

type FullRow = MessageRow & {
  id: number;
  delivered_at: number | null;
  read_at: number | null;
  delivered_devices: string | null;
};
const COLUMNS = `m.id, ${MESSAGE_COLUMNS}, m.delivered_at, m.read_at, m.delivered_devices`;

interface Stay {
  readonly group_id: string;
  readonly joined_at: number;
  readonly left_at: number | null;
}

export class ExportRows {
  private readonly scans: Readonly<
    Record<Scan, (subject: Subject, after: Cursor) => Promise<ExportPage>>
  > = {
    sent: (subject, after) => this.ofUser('sent', subject, after),
    received: (subject, after) => this.ofUser('received', subject, after),
    waited: (subject, after) => this.waited(subject, after),
    logged: (subject, after) => this.logged(subject, after),
    given: (subject, after) => this.receipts('given', subject, after),
    got: (subject, after) => this.receipts('received', subject, after),
    devices: (subject, after) => this.devices(subject, after),
    acted: (subject, after) => this.audit('actor = ?', true, subject, after),
    named: (subject, after) =>
      this.audit("subject_kind = 'user' AND subject_id = ?", false, subject, after),
  };

  constructor(private readonly db: Database) {}

  /** The moment an export shows; one statement, so that all marks are of the same one. */
  async marks(): Promise<Marks> {
    const [row] = await this.db.select<{ [K in keyof Marks]: number | null }>(
      `SELECT (SELECT MAX(id) FROM messages) AS messages,
              (SELECT MAX(id) FROM read_receipts) AS receipts,
              (SELECT MAX(seq) FROM audit_logs) AS audit`,
    );
    return {
      messages: row?.messages ?? 0,
      receipts: row?.receipts ?? 0,
      audit: row?.audit ?? 0,
    };
  }

  /** The rows of a scan after a place. */
  page(scan: Scan, subject: Subject, after: Cursor): Promise<ExportPage> {
    return this.scans[scan](subject, after);
  }

  /**
   * The rows without what is listed as erased but not taken out yet, which may have to wait for a
   * server: as they will be when it is.
   */
  async withoutErased(rows: readonly ExportRow[]): Promise<ExportRow[]> {
    const messages = await erasedAmong(
      this.db,
      rows.map(messageIdOf).filter((id) => id !== undefined),
    );
    const users = await erasedUsersAmong(
      this.db,
      rows.flatMap((each) => (each.kind === 'message' ? [each.row.message.senderId] : [])),
    );
    return rows
      .filter((each) => !messages.has(messageIdOf(each) ?? ''))
      .map((each) =>
        each.kind === 'message' && users.has(each.row.message.senderId)
          ? { ...each, row: { ...each.row, message: erased(each.row.message) } }
          : each,
      );
  }

  /** What the user sent, and private messages sent to them. */
  private async ofUser(
    type: 'sent' | 'received',
    { userId, marks }: Subject,
    [afterId = 0]: Cursor,
  ): Promise<ExportPage> {
    const [column, index] =
      type === 'sent'
        ? ['sender_id', 'ix_messages_sender']
        : ['recipient_id', 'ix_messages_recipient'];
    const rows = await this.db.select<FullRow>(
      `SELECT ${COLUMNS} FROM messages m FORCE INDEX (${index})
       WHERE m.${column} = ? AND m.id > ? AND m.id <= ? ORDER BY m.id LIMIT ?`,
      [userId, afterId, marks.messages, PAGE_ROWS],
    );
    return pageOf(rows.map((row) => toExport(type, row, [row.id])));
  }

  /** Group messages that wait, or waited, in the user's inbox; its private ones are read by `received`. */
  private async waited({ userId, marks }: Subject, [after = 0]: Cursor): Promise<ExportPage> {
    const rows = await this.db.select<FullRow & { position: number }>(
      `SELECT i.position, ${COLUMNS}
       FROM (SELECT position, msg_id FROM inbox WHERE user_id = ? AND position > ?
             ORDER BY position LIMIT ?) i
       LEFT JOIN messages m
         ON m.msg_id = i.msg_id AND m.id <= ? AND m.conversation_type = 'group'
       ORDER BY i.position`,
      [userId, after, PAGE_ROWS, marks.messages],
    );
    return {
      rows: rows
        .filter((row) => row.id !== null)
        .map((row) => toExport('received', row, [row.position])),
      next: rows.length < PAGE_ROWS ? undefined : [rows.at(-1)?.position ?? 0],
    };
  }

  /** Messages of large groups from the user's stays there, whether they had to wait or not. */
  private async logged(subject: Subject, after: Cursor): Promise<ExportPage> {
    const [groupId = '', joinedAt = 0] = after;
    const stays = await this.db.select<Stay>(
      `SELECT group_id, joined_at, left_at FROM group_memberships
       WHERE user_id = ? AND (group_id > ? OR (group_id = ? AND joined_at >= ?))
       ORDER BY group_id, joined_at LIMIT ?`,
      [subject.userId, groupId, groupId, joinedAt, MAX_STAYS],
    );
    const found: ExportRow[] = [];
    let next: Cursor = after;
    for (const [i, stay] of stays.entries()) {
      const isPlace = stay.group_id === groupId && stay.joined_at === joinedAt;
      const { rows, last } = await this.ofStay(subject, stay, isPlace ? Number(after[2]) : 0);
      found.push(...rows);
      // The stay that a page begins with may be over, too: so the next one begins after its last number.
      next = [stay.group_id, stay.joined_at, last ?? Number.MAX_SAFE_INTEGER];
      const isLast = i === stays.length - 1 && stays.length < MAX_STAYS;
      if (last !== undefined || (found.length >= PAGE_ROWS && !isLast))
        return { rows: found, next };
    }
    return { rows: found, next: stays.length < MAX_STAYS ? undefined : next };
  }

  /**
   * From the group's messages, which stay when its log is purged. `last`: the number after which there
   * are more; a page of the group's may have none of the stay.
   */
  private async ofStay(
    { userId, marks }: Subject,
    { group_id, joined_at, left_at }: Stay,
    afterSequence: number,
  ): Promise<{ rows: ExportRow[]; last: number | undefined }> {
    const page = await this.db.select<FullRow & { waited: number }>(
      `SELECT ${COLUMNS},
         EXISTS (SELECT 1 FROM inbox i WHERE i.user_id = ? AND i.msg_id = m.msg_id) AS waited
       FROM messages m FORCE INDEX (ix_messages_conversation)
       WHERE m.conversation_type = 'group' AND m.conversation_key = ? AND m.sequence_number > ?
       ORDER BY m.sequence_number LIMIT ?`,
      [userId, group_id, afterSequence, PAGE_ROWS],
    );
    const rows = page.filter(
      (row) =>
        row.created_at >= joined_at &&
        row.created_at < (left_at ?? Infinity) &&
        row.sender_id !== userId &&
        row.id <= marks.messages &&
        row.waited === 0,
    );
    return {
      rows: rows.map((row) =>
        toExport('received', row, [group_id, joined_at, row.sequence_number]),
      ),
      last: page.length < PAGE_ROWS ? undefined : page.at(-1)?.sequence_number,
    };
  }

  private async receipts(
    type: 'given' | 'received',
    { userId, marks }: Subject,
    [afterId = 0]: Cursor,
  ): Promise<ExportPage> {
    const [column, index] =
      type === 'given'
        ? ['reader_id', 'ix_read_receipts_by_reader']
        : ['sender_id', 'ix_read_receipts_by_sender'];
    const rows = await this.db.select<{
      id: number;
      msg_id: string;
      sender_id: string;
      reader_id: string;
      device_id: string;
      conversation_type: ConversationType;
      conversation_key: string;
      read_at: number;
    }>(
      `SELECT id, msg_id, sender_id, reader_id, device_id, conversation_type, conversation_key,
         read_at
       FROM read_receipts FORCE INDEX (${index})
       WHERE ${column} = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?`,
      [userId, afterId, marks.receipts, PAGE_ROWS],
    );
    return pageOf(
      rows.map((row) => {
        const receipt: Receipt = {
          msgId: row.msg_id,
          senderId: row.sender_id,
          readerId: row.reader_id,
          deviceId: row.device_id,
          conversation: conversationOf(row.conversation_type, row.conversation_key),
          readAt: row.read_at,
        };
        return { kind: 'receipt', after: [row.id], row: { type, receipt } };
      }),
    );
  }

  /** What was gathered from the sections before this one. */
  private async devices({ bundleId }: Subject, [after = '']: Cursor): Promise<ExportPage> {
    const rows = await this.db.select<DeviceSpan>(
      `SELECT device_id AS deviceId, first_seen AS firstSeen, last_seen AS lastSeen
       FROM export_devices WHERE bundle_id = ? AND device_id > ? ORDER BY device_id LIMIT ?`,
      [bundleId, after, PAGE_ROWS],
    );
    return pageOf(rows.map((row) => ({ kind: 'device', after: [row.deviceId], row })));
  }

  /** Of the user's own entries, or of others: a page is bounded by what it reads, not by what it finds. */
  private async audit(
    condition: string,
    own: boolean,
    { userId, marks }: Subject,
    [after = 0]: Cursor,
  ): Promise<ExportPage> {
    const rows = await this.db.select<Omit<AuditRecord, 'actorKind'> & { entryKey: string }>(
      `SELECT seq, at, actor, action, subject_kind AS subjectKind, subject_id AS subjectId, outcome,
         entry_key AS entryKey
       FROM audit_logs WHERE ${condition} AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
      [userId, after, marks.audit, PAGE_ROWS],
    );
    const page = pageOf(
      rows.map(({ entryKey, ...entry }): AuditRow => {
        const actorKind = isByService({ ...entry, entryKey }) ? 'service' : 'user';
        return { kind: 'audit', after: [entry.seq], row: { ...entry, actorKind } };
      }),
    );
    const isOwn = ({ row }: AuditRow): boolean => row.actorKind === 'user' && row.actor === userId;
    return { ...page, rows: page.rows.filter((each) => isOwn(each) === own) };
  }
}

function messageIdOf(each: ExportRow): string | undefined {
  if (each.kind === 'message') return each.row.message.msgId;
  return each.kind === 'receipt' ? each.row.receipt.msgId : undefined;
}

/** As the message is left of a sender who was erased. */
function erased(message: SequencedMessage): SequencedMessage {
  return { ...message, content: '', encoding: 'plain', metadata: {}, erased: true };
}

/** A page of a scan in which a page that is not full is the last one. */
function pageOf<Row extends ExportRow>(rows: readonly Row[]): ExportPage<Row> {
  return { rows, next: rows.length < PAGE_ROWS ? undefined : rows.at(-1)?.after };
}

function toExport(type: 'sent' | 'received', row: FullRow, after: Cursor): ExportRow {
  const isOwnDevice = type === 'received' && row.recipient_id !== null;
  return {
    kind: 'message',
    after,
    row: {
      type,
      message: toMessage(row),
      deliveredAt: row.delivered_at ?? undefined,
      readAt: row.read_at ?? undefined,
      devices: isOwnDevice ? devicesOf(row.delivered_devices) : [],
    },
  };
}
