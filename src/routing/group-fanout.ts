/**
 * Keeps group messages for the members who were away (architecture §4): content once, and an inbox row
 * for each of them, or, in a large group, one entry in the group's log.
 *
 * A member was there when the registry has them with a device that connected before the message was
 * accepted: then a gateway held that device when the message came. Whoever connected later, or so close
 * to it that nobody can say, gets a row, for the gateways may have read the message before. So it does
 * not matter when, or how often, a message is worked on: after a crash in the middle the rows that are
 * there stay, and each member who was away gets theirs, present or not by then. Who was there at the
 * first attempt and has gone at the second gets a row too: what they were pushed comes again, which
 * clients tell by `msg_id`; nothing is lost.
 *
 * When nobody can say who the members are (the user service is away, and the group unknown), records are
 * held for a moment, and then put aside: stored, and finished by the sweep (late-fanout.ts). So neither
 * the other groups of the partition wait, nor does Kafka forget a message before it has its rows.
 */
import type { Presence } from '../activities/etcd/presence';
import type { Refusal } from '../activities/kafka/batches';
import { dataErrorOf } from '../activities/mysql/database';
import type { FanoutBacklog } from '../activities/mysql/fanout-backlog';
import type { GroupLog } from '../activities/mysql/group-log';
import type { MessageStore } from '../activities/mysql/message-store';
import type { Groups } from '../activities/user-service/groups';
import type { ErasedView } from '../domain/erasure';
import { ImError } from '../domain/errors';
import type { OfflineEntry } from '../domain/inbox';
import type { SequencedMessage } from '../domain/message';
import type { Metrics } from '../metrics';
import { Attendance, wasThere } from './attendance';
import type { ContentSteps } from './content';
import type { LargeGroups } from './large-groups';

/** Rows of one transaction: larger ones gain little and hold their locks for longer. */
const MAX_ROWS = 1_000;
/** Messages of one transaction. */
const MAX_MESSAGES = 200;
/** Age from which a message whose members cannot be known is put aside, ms; a blip is over before. */
const PATIENCE_MS = 15_000;

const CONFLICT = 'msg_id belongs to another message';

export interface GroupFanoutDeps {
  readonly groups: Pick<Groups, 'membersAt'>;
  readonly large: Pick<LargeGroups, 'isLarge' | 'makeLarge'>;
  readonly presence: Pick<Presence, 'lookupMany' | 'arrivedAt'>;
  /** Nothing is kept that they sent, nor for them. */
  readonly erased: Pick<ErasedView, 'has'>;
  readonly messages: Pick<MessageStore, 'storeOffline'>;
  readonly groupLog: Pick<GroupLog, 'append'>;
  readonly backlog: Pick<FanoutBacklog, 'groupsAmong' | 'add'>;
  readonly content: Pick<ContentSteps, 'seal'>;
  /** Called after each transaction with the users for whom something new waits. */
  readonly onStored: (userIds: Iterable<string>) => void;
  /** Called with users for whom something waits and who have appeared since it was sent. */
  readonly onAwoken: (userIds: Iterable<string>) => void;
  readonly now: () => number;
  readonly metrics: Metrics;
}

/** Who has yet to get a message: these members; whoever reads the log; or those who are found out later. */
type Audience = readonly string[] | 'large' | 'unknown';

export class GroupFanout {
  constructor(private readonly deps: GroupFanoutDeps) {}

  /**
   * Keeps messages of one partition, in their order; may be repeated. Rejects when that cannot be done
   * now: MySQL is away, or, of recent messages, the user service while the group is unknown.
   */
  async keep(messages: readonly SequencedMessage[]): Promise<Refusal[]> {
    const { backlog, content } = this.deps;
    const refusals = new Map<string, string>();
    const small = new Batch((entries) => this.store(entries, refusals));
    const attendance = new Attendance(this.deps.presence);
    const logs = new Map<string, SequencedMessage[]>();
    const late: SequencedMessage[] = [];
    // Behind what was put aside before: the group's messages stay in their order.
    const unknown = await backlog.groupsAmong(messages.map((message) => message.conversation.key));
    for (const message of messages) {
      const groupId = message.conversation.key;
      if (this.deps.erased.has(message.senderId)) continue;
      const audience = unknown.has(groupId)
        ? 'unknown'
        : await this.audienceOf(message, attendance);
      const sealed = await content.seal(message);
      if (audience === 'unknown') {
        unknown.add(groupId);
        late.push(sealed);
      } else if (audience === 'large') logs.set(groupId, [...(logs.get(groupId) ?? []), sealed]);
      else await small.add({ message: sealed, recipients: audience });
    }
    await small.flush();
    for (const [groupId, sealed] of logs) await this.append(groupId, sealed, refusals);
    await this.putAside(late, refusals);
    return messages.map(({ msgId }) => refusals.get(msgId));
  }

  /** Gives rows for stored messages of one group that were put aside; rejects while it is unknown. */
  async keepLate(messages: readonly SequencedMessage[]): Promise<void> {
    // Stored already: nothing can be refused.
    const refusals = new Map<string, string>();
    const small = new Batch((entries) => this.store(entries, refusals));
    const attendance = new Attendance(this.deps.presence);
    const logged: SequencedMessage[] = [];
    for (const message of messages) {
      const absent = await this.absentMembers(message, attendance);
      if (absent === 'large') logged.push(message);
      else await small.add({ message, recipients: absent });
    }
    await small.flush();
    const [first] = logged;
    if (first) await this.append(first.conversation.key, logged, refusals);
  }

  private async audienceOf(message: SequencedMessage, attendance: Attendance): Promise<Audience> {
    try {
      return await this.absentMembers(message, attendance);
    } catch (error) {
      const isRecent = this.deps.now() - message.acceptedAt < PATIENCE_MS;
      if (isRecent || !isUnknownGroup(error)) throw error;
      return 'unknown';
    }
  }

  private async putAside(
    messages: readonly SequencedMessage[],
    refusals: Map<string, string>,
  ): Promise<void> {
    if (messages.length === 0) return;
    const entries = messages.map((message) => ({ message, recipients: [] }));
    await this.store(entries, refusals);
    const kept = messages.filter(({ msgId }) => !refusals.has(msgId));
    await this.deps.backlog.add(kept);
    this.deps.metrics.fanoutsLate.inc(kept.length);
  }

  private async absentMembers(
    message: SequencedMessage,
    attendance: Attendance,
  ): Promise<string[] | 'large'> {
    const { groups, large, presence, erased } = this.deps;
    const { acceptedAt, senderId } = message;
    const groupId = message.conversation.key;
    if (await large.isLarge(groupId)) return 'large';
    const members = await groups.membersAt(groupId, acceptedAt);
    if (members === 'large') {
      await large.makeLarge(groupId);
      return 'large';
    }
    const answers = await attendance.of(members);
    return members.filter(
      (userId) =>
        userId !== senderId &&
        !erased.has(userId) &&
        !wasThere(answers.get(userId), presence.arrivedAt(userId), acceptedAt),
    );
  }

  /** Stores entries in one transaction; what the database will never take is found one by one. */
  private async store(
    entries: readonly OfflineEntry[],
    refusals: Map<string, string>,
  ): Promise<void> {
    const { messages, onStored, metrics } = this.deps;
    try {
      const { newRows, conflicting } = await messages.storeOffline(entries);
      for (const { message } of conflicting) refusals.set(message.msgId, CONFLICT);
      metrics.fanoutRows.inc(newRows.size);
      onStored(newRows.keys());
    } catch (error) {
      const reason = dataErrorOf(error);
      if (reason === undefined) throw error;
      const [only, another] = entries;
      if (only && !another) refusals.set(only.message.msgId, `MySQL does not take it: ${reason}`);
      else for (const entry of entries) await this.store([entry], refusals);
    }
  }

  private async append(
    groupId: string,
    messages: readonly SequencedMessage[],
    refusals: Map<string, string>,
  ): Promise<void> {
    try {
      const { conflicting, awoken } = await this.deps.groupLog.append(groupId, messages);
      for (const { msgId } of conflicting) refusals.set(msgId, CONFLICT);
      this.deps.onAwoken(awoken);
    } catch (error) {
      const reason = dataErrorOf(error);
      if (reason === undefined) throw error;
      const [only, another] = messages;
      if (only && !another) refusals.set(only.msgId, `MySQL does not take it: ${reason}`);
      else for (const message of messages) await this.append(groupId, [message], refusals);
    }
  }
}

/** Entries gathered until there are enough rows for a transaction; an entry of more is split. */
class Batch {
  private entries: OfflineEntry[] = [];
  private rows = 0;

  constructor(private readonly store: (entries: readonly OfflineEntry[]) => Promise<void>) {}

  async add({ message, recipients }: OfflineEntry): Promise<void> {
    let from = 0;
    do {
      const piece = recipients.slice(from, from + MAX_ROWS - this.rows);
      this.entries.push({ message, recipients: piece });
      this.rows += piece.length;
      from += piece.length;
      if (this.rows >= MAX_ROWS || this.entries.length >= MAX_MESSAGES) await this.flush();
    } while (from < recipients.length);
  }

  async flush(): Promise<void> {
    const { entries } = this;
    this.entries = [];
    this.rows = 0;
    if (entries.length > 0) await this.store(entries);
  }
}

/** Whether it failed because nobody can say who is in the group. */
export function isUnknownGroup(error: unknown): boolean {
  return error instanceof ImError && error.code === 'SERVICE_UNAVAILABLE';
}
