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
 * Gateways read the messages from Kafka by themselves, perhaps later than we: who was there, but has gone
 * before their gateway can have pushed it, has not got it. So those who were there are looked for again a
 * second after it was accepted; until then its offset is not committed. What we read that late already,
 * as after a pause, is looked at once: waiting bounds no rate.
 *
 * When nobody can say who the members are (the user service is away, and the group unknown), records are
 * held for a moment, and then put aside: stored, and finished by the sweep (late-fanout.ts). So neither
 * the other groups of the partition wait, nor does Kafka forget a message before it has its rows.
 */
import type { Presence, PresenceAnswer } from '../activities/etcd/presence';
import type { Refusal } from '../activities/kafka/batches';
import type { Leftover } from '../activities/kafka/leftovers';
import { dataErrorOf } from '../activities/mysql/database';
import type { FanoutBacklog } from '../activities/mysql/fanout-backlog';
import type { GroupLog } from '../activities/mysql/group-log';
import { VANISH_OVERLAP_MS } from '../activities/mysql/group-readers';
import type { MessageStore } from '../activities/mysql/message-store';
import { sleep } from '../activities/sleep';
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

/** The longest wait for a second look, ms: the clock that stamped a message may be ahead. */
const MAX_WAIT_MS = 2 * VANISH_OVERLAP_MS;

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

/** Members of a small group, without the sender: those who have yet to get a message, and who were there. */
interface Members {
  readonly absent: string[];
  readonly there: string[];
}

/** Who has yet to get a message: some members; whoever reads the log; or those who are found out later. */
type Audience = Members | 'large' | 'unknown';

export class GroupFanout {
  constructor(private readonly deps: GroupFanoutDeps) {}

  /**
   * Keeps messages of one partition, in their order; may be repeated. Rejects when that cannot be done
   * now: MySQL is away, or, of recent messages, the user service while the group is unknown. `later` is
   * given what is to be done a little later.
   */
  async keep(
    messages: readonly SequencedMessage[],
    later: (work: Leftover) => void,
  ): Promise<Refusal[]> {
    const { backlog, content, presence, now } = this.deps;
    const refusals = new Map<string, string>();
    const small = new Batch((entries) => this.store(entries, refusals));
    const attendance = new Attendance(presence, now());
    const early: OfflineEntry[] = [];
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
      else {
        const { absent, there } = audience;
        await small.add({ message: sealed, recipients: absent });
        const isEarly = there.length > 0 && attendance.isEarlyFor(message.acceptedAt);
        if (isEarly) early.push({ message: sealed, recipients: there });
      }
    }
    await small.flush();
    const again = early.filter(({ message }) => !refusals.has(message.msgId));
    if (again.length > 0) later(() => this.lookAgain(again));
    for (const [groupId, sealed] of logs) await this.append(groupId, sealed, refusals);
    await this.putAside(late, refusals);
    return messages.map(({ msgId }) => refusals.get(msgId));
  }

  /** Gives rows for stored messages of one group that were put aside; rejects while it is unknown. */
  async keepLate(messages: readonly SequencedMessage[]): Promise<void> {
    // Stored already: nothing can be refused.
    const refusals = new Map<string, string>();
    const small = new Batch((entries) => this.store(entries, refusals));
    // Behind others of their group some were put aside at once.
    await this.gatewaysHaveRead(messages);
    const attendance = new Attendance(this.deps.presence, this.deps.now());
    const logged: SequencedMessage[] = [];
    for (const message of messages) {
      const members = await this.membersOf(message, attendance);
      if (members === 'large') logged.push(message);
      else await small.add({ message, recipients: members.absent });
    }
    await small.flush();
    const [first] = logged;
    if (first) await this.append(first.conversation.key, logged, refusals);
  }

  private async audienceOf(message: SequencedMessage, attendance: Attendance): Promise<Audience> {
    try {
      return await this.membersOf(message, attendance);
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

  private async membersOf(
    message: SequencedMessage,
    attendance: Attendance,
  ): Promise<Members | 'large'> {
    const { groups, large, erased } = this.deps;
    const { acceptedAt, senderId } = message;
    const groupId = message.conversation.key;
    if (await large.isLarge(groupId)) return 'large';
    const members = await groups.membersAt(groupId, acceptedAt);
    if (members === 'large') {
      await large.makeLarge(groupId);
      return 'large';
    }
    const others = members.filter((userId) => userId !== senderId && !erased.has(userId));
    return this.divide(others, message, await attendance.of(others));
  }

  private divide(
    userIds: readonly string[],
    { acceptedAt }: SequencedMessage,
    answers: ReadonlyMap<string, PresenceAnswer>,
  ): Members {
    const { presence } = this.deps;
    const found: Members = { absent: [], there: [] };
    for (const userId of userIds) {
      const isThere = wasThere(answers.get(userId), presence.arrivedAt(userId), acceptedAt);
      found[isThere ? 'there' : 'absent'].push(userId);
    }
    return found;
  }

  /** Gives rows to those of the recipients, who were there, of whom that is not certain any more. */
  private async lookAgain(entries: readonly OfflineEntry[]): Promise<void> {
    await this.gatewaysHaveRead(entries.map(({ message }) => message));
    const attendance = new Attendance(this.deps.presence, this.deps.now());
    // Stored already: nothing can be refused.
    const batch = new Batch((some) => this.store(some, new Map()));
    for (const { message, recipients } of entries) {
      const { absent } = this.divide(recipients, message, await attendance.of(recipients));
      if (absent.length > 0) await batch.add({ message, recipients: absent });
    }
    await batch.flush();
  }

  /** Resolves when gateways have pushed these to the devices they held then. */
  private async gatewaysHaveRead(messages: readonly SequencedMessage[]): Promise<void> {
    const newest = Math.max(...messages.map(({ acceptedAt }) => acceptedAt));
    const wait = newest + VANISH_OVERLAP_MS - this.deps.now();
    if (wait > 0) await sleep(Math.min(wait, MAX_WAIT_MS));
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
