/**
 * The export of what is held about a user (architecture §6): its sections, in the order they are
 * written, and the records they consist of, in the form they are handed out.
 */
import type { OpenedMessage } from './encryption';
import type { Receipt } from './receipts';

export const SECTIONS = ['messages', 'receipts', 'devices', 'audit'] as const;
export type Section = (typeof SECTIONS)[number];

/** What a record of each section is called where records of all sections follow each other. */
export const RECORD_NAMES: Readonly<Record<Section, string>> = {
  messages: 'message',
  receipts: 'receipt',
  devices: 'device',
  audit: 'audit',
};

/**
 * Up to where each table is read, the same for the whole export. Rows are written once and their ids
 * grow, so all pages together show one moment, whatever is written meanwhile.
 */
export interface Marks {
  readonly messages: number;
  readonly receipts: number;
  readonly audit: number;
}

/** How many records there are of each section. */
export type SectionCounts = Readonly<Record<Section, number>>;

export const NO_RECORDS: SectionCounts = { messages: 0, receipts: 0, devices: 0, audit: 0 };

/** A device of the user; times are unix ms. */
export interface DeviceSpan {
  readonly deviceId: string;
  readonly firstSeen: number;
  readonly lastSeen: number;
}

/** A stored message the user sent or received, and what became of it. Times are unix ms. */
export interface ExportedMessage {
  readonly type: 'sent' | 'received';
  readonly message: OpenedMessage;
  readonly deliveredAt: number | undefined;
  readonly readAt: number | undefined;
}

/**
 * The spec's fields, and what else is known of the message. A message to a group has the group as the
 * recipient for its sender, and the user for who received it. Devices of others are not the user's data.
 */
export function wireMessage(exported: ExportedMessage, userId: string): object {
  const { type, message, deliveredAt, readAt } = exported;
  const { conversation } = message;
  const isSent = type === 'sent';
  return {
    msg_id: message.msgId,
    type,
    sender_id: isSent ? undefined : message.senderId,
    recipient_id: isSent ? (message.recipientId ?? conversation.key) : userId,
    content: message.content,
    unreadable: message.unreadable,
    timestamp: message.timestamp,
    created_at: message.acceptedAt,
    sequence_number: message.sequenceNumber,
    conversation_type: conversation.type,
    conversation_id: conversation.id,
    metadata: Object.keys(message.metadata).length > 0 ? message.metadata : undefined,
    delivered_at: deliveredAt,
    read_at: readAt,
  };
}

/** A receipt the user gave, or one that was given for a message of theirs. */
export function wireReceipt(type: 'given' | 'received', receipt: Receipt): object {
  return {
    msg_id: receipt.msgId,
    type,
    sender_id: receipt.senderId,
    reader_id: receipt.readerId,
    conversation_type: receipt.conversation.type,
    conversation_id: receipt.conversation.id,
    read_at: receipt.readAt,
    device_id: type === 'given' && receipt.deviceId !== '' ? receipt.deviceId : undefined,
  };
}

/** Who of the staff acted, as an export shows them. */
const STAFF = 'compliance';

/** An entry of the audit log that names the user; times are unix ms. */
export interface AuditRecord {
  readonly seq: number;
  readonly at: number;
  readonly actor: string;
  readonly actorKind: 'user' | 'service';
  readonly action: string;
  readonly subjectKind: string;
  readonly subjectId: string;
  readonly outcome: string;
}

/** Who of the staff has asked is not told to the user, as it is not by jobs. */
export function wireAudit(entry: AuditRecord, userId: string): object {
  const isStaff = entry.actorKind === 'user' && entry.actor !== userId;
  return {
    seq: entry.seq,
    at: entry.at,
    actor: isStaff ? STAFF : entry.actor,
    actor_kind: isStaff ? STAFF : entry.actorKind,
    action: entry.action,
    subject_kind: entry.subjectKind,
    subject_id: entry.subjectId,
    outcome: entry.outcome,
  };
}

export function wireDevice({ deviceId, firstSeen, lastSeen }: DeviceSpan): object {
  return { device_id: deviceId, first_seen: firstSeen, last_seen: lastSeen };
}

/** The spec's form of a time: UTC, whole seconds. */
export function exportDate(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
