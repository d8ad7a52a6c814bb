/**
 * What Redis remembers of a message, and the counters of its conversation.
 *
 * `msg:{msg_id}`, a hash, 7 days:
 *   digest        SHA-256 of the payload, base64
 *   state         routing {lease end} {owner} | delivered | offline | published | failed; the owner is the
 *                 attempt that works on it, until the lease ends (Redis time, ms)
 *   seq           its sequence number, kept over retries
 *   delivered_at  unix ms; devices: JSON array of device ids
 *   waited        1 when it was answered "offline"; stays when it is delivered later
 *   read_at       unix ms of the first reader, whatever the state
 *   sender, conv  who wrote it, and `{type}:{conversation key}`: a reader may be faster than MySQL
 * `seq:{type}:{conversation key}`, `{generation} {nonce} {n} {ceiling}` without expiry: the generation of
 *   Redis it belongs to, the nonce of its installation, the last number given and the highest it may give
 *   (both empty until it has a block). One string, so that a batch reads and writes all in one command each.
 * `erased/{sha256(msg_id)}`: the message was deleted for good; it names no id
 * `inbox:count:{user}`, a number: see inbox-counts.ts
 * `im:doubt_until`, unix ms: see connection.ts
 *
 * The scripts take keys of several slots: a single primary (with replicas), not Redis Cluster.
 */
import { ImError } from '../../domain/errors';
import { conversationOf } from '../../domain/ids';
import type { Conversation, ConversationType } from '../../domain/ids';
import type { MessageFacts } from '../../domain/receipts';
import type { StoredMessage } from '../mysql/message-store';
import { erasedName } from '../erased-name';
import { DOUBT_KEY } from './connection';
import { TurnBatcher } from '../turn-batcher';
import { Turns } from '../turns';
import type { Turn } from '../turns';
import { countKey } from './inbox-counts';
import { LuaScript } from './lua-script';
import type { RedisConnection } from './connection';

/** Seconds a message's hash lives (architecture §3): as long as a message may wait by default. */
const STATE_TTL_S = 7 * 24 * 60 * 60;

/** Messages of one call of a script: Redis does nothing else meanwhile, for about a millisecond. */
const MAX_BATCH = 100;
/** Messages of one conversation that get their numbers in one call. */
export const MAX_RUN = MAX_BATCH;

export type FinalState = 'delivered' | 'offline' | 'published' | 'failed';

export interface ReserveRequest {
  readonly msgId: string;
  readonly digest: string;
  readonly conversation: Conversation;
  readonly senderId: string;
  /** Whose waiting messages are counted; `undefined` in a group. */
  readonly recipientId?: string;
  /** Unique to this attempt. */
  readonly owner: string;
}

export type ReserveReply =
  | {
      kind: 'new';
      sequenceNumber: number;
      left: number;
      waiting: number | undefined;
      doubtful: boolean;
      /** In the conversation, in the order of the numbers; to be left in the end, or all behind it wait. */
      turn: Turn;
    }
  | { kind: 'again'; sequenceNumber: number; waited: boolean }
  | { kind: 'busy' }
  | { kind: 'conflict' }
  | { kind: 'erased' }
  | { kind: 'ceiling'; nonce: string; generation: number };

export interface Finish {
  readonly msgId: string;
  readonly owner: string;
  readonly state: FinalState;
  readonly deliveredAt?: number;
  readonly devices?: readonly string[];
  /** Set when one more message waits for this user. */
  readonly waitsFor?: string;
}

export interface StoredState {
  readonly state: string;
  readonly deliveredAt: number;
  readonly readAt: number;
  readonly devices: readonly string[];
}

interface Read {
  readonly msgId: string;
  readonly readAt: number;
}

interface Install {
  readonly conversation: Conversation;
  /** See lua/install-block.lua. */
  readonly args: readonly (string | number)[];
}

/** Kind and what belongs to it, see lua/reserve.lua. */
type Reply = [string, ...(string | null)[]];

export class MessageStates {
  private readonly scripts = {
    reserve: new LuaScript('reserve'),
    installBlock: new LuaScript('install-block'),
    finish: new LuaScript('finish'),
    restore: new LuaScript('restore'),
    markDelivered: new LuaScript('mark-delivered'),
    markRead: new LuaScript('mark-read'),
  };

  private readonly reservations: TurnBatcher<ReserveRequest, ReserveReply>;
  private readonly blocks: TurnBatcher<Install, void>;
  private readonly finishes: TurnBatcher<Finish, boolean>;
  private readonly reads: TurnBatcher<Read, void>;
  /** A private conversation's key has a slash, a group's has none. */
  private readonly turns = new Turns();

  /** `leaseMs`: how long an attempt owns a message. */
  constructor(
    private readonly connection: RedisConnection,
    private readonly leaseMs: number,
  ) {
    this.reservations = new TurnBatcher({
      run: (requests) => this.reserveAll(requests, false),
      maxBatch: MAX_BATCH,
    });
    this.blocks = new TurnBatcher({
      run: (blocks) => this.installAll(blocks),
      maxBatch: MAX_BATCH,
    });
    this.finishes = new TurnBatcher({
      run: (finishes) => this.finishAll(finishes),
      maxBatch: MAX_BATCH,
    });
    this.reads = new TurnBatcher({
      run: (reads) => this.markAllRead(reads),
      maxBatch: MAX_BATCH,
    });
  }

  /** One atomic step: the message id reserved and its sequence number given, or why not. */
  reserve(request: ReserveRequest): Promise<ReserveReply> {
    return this.reservations.add(request);
  }

  /**
   * The same for messages of one conversation, at most {@link MAX_RUN}, with numbers in their order:
   * ends with the first that cannot be had at once ("busy", "ceiling"), those after it are not tried.
   */
  reserveRun(requests: readonly ReserveRequest[]): Promise<(ReserveReply | Error)[]> {
    return this.reserveAll(requests, true);
  }

  private async reserveAll(
    requests: readonly ReserveRequest[],
    inOrder: boolean,
  ): Promise<(ReserveReply | Error)[]> {
    const { redis, generation } = this.connection.use();
    const keys = [DOUBT_KEY];
    const args: (string | number)[] = [this.leaseMs, generation, STATE_TTL_S, inOrder ? 1 : 0];
    for (const { msgId, conversation, recipientId, digest, owner, senderId } of requests) {
      keys.push(messageKey(msgId), sequenceKey(conversation));
      keys.push(countKey(recipientId ?? ''), erasedName(msgId));
      args.push(digest, owner, senderId);
    }
    const replies = (await this.scripts.reserve.run(redis, keys, args)) as Reply[];
    // The connection outlived a failover: begin again on a new one.
    if (replies.some(([kind]) => kind === 'stale')) this.connection.renew();
    return replies.map((reply, i) =>
      this.readReply(reply, generation, requests[i] as ReserveRequest),
    );
  }

  /**
   * Turns are entered here, where replies are read one after another: whoever asked hears of theirs
   * some steps later, how many depends on the way the message came in.
   */
  private readReply(
    [kind, ...rest]: Reply,
    generation: number,
    { conversation }: ReserveRequest,
  ): ReserveReply | Error {
    switch (kind) {
      case 'new':
        return {
          kind,
          sequenceNumber: Number(rest[0]),
          left: Number(rest[1]),
          waiting: rest[2] === null ? undefined : Number(rest[2]),
          doubtful: Number(rest[3]) === 1,
          turn: this.turns.enter(conversation.key),
        };
      case 'again':
        return {
          kind,
          sequenceNumber: Number(rest[0]),
          waited: rest[2] === '1',
        };
      case 'busy':
      case 'conflict':
      case 'erased':
        return { kind };
      case 'ceiling':
        return { kind, nonce: String(rest[0]), generation };
      case 'stale':
        return new ImError('SERVICE_UNAVAILABLE', 'Redis has failed over');
      default:
        return new Error(`reserve.lua: ${kind} ${rest.join(' ')}`);
    }
  }

  /** Offers a counter a block that MySQL reserved; whether it is used is the counter's affair. */
  installBlock(
    conversation: Conversation,
    { generation, nonce }: { nonce: string; generation: number },
    { floor, ceiling }: { floor: number; ceiling: number },
  ): Promise<void> {
    return this.blocks.add({ conversation, args: [generation, nonce, floor, ceiling] });
  }

  private async installAll(blocks: readonly Install[]): Promise<(void | Error)[]> {
    const { redis } = this.connection.use();
    const keys = blocks.map(({ conversation }) => sequenceKey(conversation));
    const args = blocks.flatMap((block) => block.args);
    const replies = (await this.scripts.installBlock.run(redis, keys, args)) as (number | string)[];
    return replies.map((reply) => (typeof reply === 'string' ? new Error(reply) : undefined));
  }

  /** The conversation's counter, if it is alive in this generation of Redis. */
  async counter(
    conversation: Conversation,
  ): Promise<{ nonce: string; generation: number; left: number } | undefined> {
    const { redis, generation } = this.connection.use();
    const counter = await redis.get(sequenceKey(conversation));
    const [gen, nonce, n, ceiling] = counter?.split(' ') ?? [];
    if (Number(gen) !== generation || !nonce || !n) return undefined;
    return { nonce, generation, left: Number(ceiling) - Number(n) };
  }

  /** Records the answer; false when another attempt has the message, or it was delivered meanwhile. */
  finish(finish: Finish): Promise<boolean> {
    return this.finishes.add(finish);
  }

  private async finishAll(finishes: readonly Finish[]): Promise<(boolean | Error)[]> {
    const { redis } = this.connection.use();
    const keys: string[] = [];
    const args: (string | number)[] = [];
    for (const { msgId, owner, state, deliveredAt, devices, waitsFor } of finishes) {
      keys.push(messageKey(msgId), countKey(waitsFor ?? ''));
      args.push(owner, state, deliveredAt ?? '', devices ? JSON.stringify(devices) : '[]');
      args.push(waitsFor === undefined ? 0 : 1);
    }
    const replies = (await this.scripts.finish.run(redis, keys, args)) as (number | string)[];
    return replies.map((reply) => (typeof reply === 'string' ? new Error(reply) : reply === 1));
  }

  /** Puts back what was forgotten of a message that was answered before. */
  async restore(owner: string, stored: StoredMessage): Promise<void> {
    const { redis } = this.connection.use();
    const { message, delivery, waited } = stored;
    const isGroup = message.conversation.type === 'group';
    await this.scripts.restore.run(
      redis,
      [messageKey(message.msgId)],
      [
        owner,
        message.sequenceNumber,
        isGroup ? 'published' : delivery ? 'delivered' : 'offline',
        waited ? 1 : 0,
        delivery?.deliveredAt ?? (isGroup ? message.acceptedAt : ''),
        JSON.stringify(delivery?.devices ?? []),
      ],
    );
  }

  /** Notes for GetMessageStatus that messages which waited were delivered; hashes that are gone stay gone. */
  async markDelivered(
    messages: readonly { msgId: string; deliveredAt: number; devices: readonly string[] }[],
  ): Promise<void> {
    const { redis } = this.connection.use();
    await Promise.all(
      messages.map(({ msgId, deliveredAt, devices }) =>
        this.scripts.markDelivered.run(
          redis,
          [messageKey(msgId)],
          [deliveredAt, JSON.stringify(devices)],
        ),
      ),
    );
  }

  /** Notes for GetMessageStatus that a message was read; the first time is kept. */
  markRead(msgId: string, readAt: number): Promise<void> {
    return this.reads.add({ msgId, readAt });
  }

  private async markAllRead(reads: readonly Read[]): Promise<(void | Error)[]> {
    const { redis } = this.connection.use();
    const keys = reads.map(({ msgId }) => messageKey(msgId));
    const times = reads.map(({ readAt }) => readAt);
    const replies = (await this.scripts.markRead.run(redis, keys, times)) as (number | string)[];
    return replies.map((reply) => (typeof reply === 'string' ? new Error(reply) : undefined));
  }

  /** Who wrote a message, and where, as long as Redis remembers; `undefined` too when it failed. */
  async facts(msgId: string): Promise<MessageFacts | undefined> {
    const { redis } = this.connection.use();
    const [state, senderId, name] = await redis.hmget(messageKey(msgId), 'state', 'sender', 'conv');
    if (!senderId || !name || state === 'failed') return undefined;
    const colon = name.indexOf(':');
    const type = name.slice(0, colon) as ConversationType;
    const conversation = conversationOf(type, name.slice(colon + 1));
    return { msgId, senderId, conversation, acceptedAt: undefined };
  }

  /**
   * Forgets a message for good: for `ttlMs` its id is refused, in one step with the loss of what was
   * remembered of it. Returns how many hashes there were.
   */
  async erase(msgId: string, ttlMs: number): Promise<number> {
    const { redis } = this.connection.use();
    const outcomes = await redis
      .multi()
      .set(erasedName(msgId), '1', 'PX', ttlMs)
      .del(messageKey(msgId))
      .exec();
    if (!outcomes) throw new Error('Redis did not run the transaction');
    for (const [error] of outcomes) if (error) throw error;
    return Number(outcomes[1]?.[1]);
  }

  /** What is remembered of a message, or `undefined`. */
  async find(msgId: string): Promise<StoredState | undefined> {
    const { redis } = this.connection.use();
    const [state, deliveredAt, readAt, devices] = await redis.hmget(
      messageKey(msgId),
      'state',
      'delivered_at',
      'read_at',
      'devices',
    );
    if (!state) return undefined;
    return {
      state,
      deliveredAt: Number(deliveredAt || 0),
      readAt: Number(readAt || 0),
      devices: devices ? (JSON.parse(devices) as string[]) : [],
    };
  }
}

function messageKey(msgId: string): string {
  return `msg:${msgId}`;
}

function sequenceKey({ type, key }: Conversation): string {
  return `seq:${type}:${key}`;
}
