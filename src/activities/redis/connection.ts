/**
 * One connection to Redis that knows which life of Redis it talks to.
 *
 * A *generation* names one life of a Redis instance: the pair of its run id (new at each start) and
 * its replication id (new at each failover). It is learned by the first command on every new
 * connection and is forgotten the moment the connection closes; commands are never queued while
 * disconnected nor sent again on another connection. So a command always reaches the life whose
 * generation it carries, and what a restarted, wiped or failed-over Redis remembers of sequence
 * numbers is never believed (architecture §3).
 */
import { Redis } from 'ioredis';
import { ImError, messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import { sleep } from '../sleep';

/**
 * `im:doubt_until`, unix ms: until then a message id that Redis does not know may be one that it has
 * forgotten, and is looked up in MySQL. Set ahead when a life of Redis begins; whoever finds it
 * missing later has found an emptied Redis (lua/reserve.lua).
 */
export const DOUBT_KEY = 'im:doubt_until';
/** A restarted Redis lost a second or two (appendfsync everysec), whose senders retry soon, ms. */
const DOUBT_AFTER_RESTART_MS = 10 * 60_000;

/** Longest pause between attempts to reconnect, ms: how soon service resumes after Redis is back. */
const MAX_RECONNECT_DELAY_MS = 500;

export interface RedisOptions {
  readonly url: string;
  /** For each command, ms. */
  readonly deadlineMs: number;
  readonly log: Logger;
  /**
   * The generation of a life of Redis; a larger one for a life not seen before, which counts as seen
   * once `prepare` has ended well.
   */
  readonly generationOf: (
    instance: string,
    prepare: (isFirst: boolean) => Promise<void>,
  ) => Promise<number>;
}

export class RedisConnection {
  private current: number | undefined;
  private readonly redis: Redis;

  constructor(private readonly options: RedisOptions) {
    this.redis = new Redis(options.url, {
      commandTimeout: options.deadlineMs,
      connectTimeout: options.deadlineMs * 2,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => Math.min(attempt * 50, MAX_RECONNECT_DELAY_MS),
      protocol: 2,
    });
    this.redis.on('ready', () => void this.learn());
    this.redis.on('close', () => (this.current = undefined));
    this.redis.on('error', (error) => options.log.debug({ err: error.message }, 'redis'));
  }

  /** The client and the generation its commands must carry; throws SERVICE_UNAVAILABLE when away. */
  use(): { redis: Redis; generation: number } {
    if (this.current === undefined)
      throw new ImError('SERVICE_UNAVAILABLE', 'Redis is unavailable');
    return { redis: this.redis, generation: this.current };
  }

  /** Resolves once commands can be sent. */
  async whenReady(): Promise<void> {
    while (this.current === undefined) await sleep(20);
  }

  /** Drops the connection and makes a new one, whose generation is learned anew. */
  renew(): void {
    this.current = undefined;
    this.redis.disconnect(true);
  }

  /** Asks Redis whether it is there. */
  async ping(): Promise<void> {
    await this.use().redis.ping();
  }

  /** What the design demands of the server's settings and it does not keep, in words. */
  async settingProblems(): Promise<string[]> {
    const reply = await this.use().redis.config('GET', 'maxmemory-policy');
    const policy = reply[1];
    if (policy === 'noeviction') return [];
    return [`maxmemory-policy is "${policy}", must be "noeviction": reservations may be evicted`];
  }

  async close(): Promise<void> {
    this.current = undefined;
    // quit() would wait for ever on a silent server.
    await this.redis.quit().catch(() => this.redis.disconnect());
  }

  private async learn(): Promise<void> {
    const { stream } = this.redis;
    try {
      const instance = instanceOf(
        await this.redis.info('server'),
        await this.redis.info('replication'),
      );
      const generation = await this.options.generationOf(instance, (isFirst) =>
        this.prepareDoubt(isFirst),
      );
      // The connection that answered must be the one that stands now.
      if (this.redis.stream === stream && this.redis.status === 'ready') this.current = generation;
    } catch (error) {
      this.options.log.warn(
        { err: messageOf(error) },
        'redis: generation not learned, reconnecting',
      );
      // Without a generation the connection is of no use: begin again.
      setTimeout(() => {
        if (this.redis.stream === stream && this.redis.status === 'ready') this.renew();
      }, MAX_RECONNECT_DELAY_MS);
    }
  }

  /** A first Redis has nothing to doubt; a restarted one the last moments; a wiped one has no key. */
  private async prepareDoubt(isFirst: boolean): Promise<void> {
    if (isFirst) {
      await this.redis.set(DOUBT_KEY, 0, 'NX');
      return;
    }
    const until = await this.redis.get(DOUBT_KEY);
    if (until === null) return;
    const restarted = Date.now() + DOUBT_AFTER_RESTART_MS;
    await this.redis.set(DOUBT_KEY, Math.max(Number(until), restarted));
  }
}

function instanceOf(server: string, replication: string): string {
  const runId = /^run_id:(\w+)/m.exec(server)?.[1];
  const replicationId = /^master_replid:(\w+)/m.exec(replication)?.[1];
  const role = /^role:(\w+)/m.exec(replication)?.[1];
  if (!runId || !replicationId) throw new Error('INFO has no run_id or master_replid');
  if (role !== 'master') throw new Error(`this Redis is a ${role}`);
  return `${runId}:${replicationId}`;
}

/** What Redis answers while it starts, has no master, or cannot write. */
const UNABLE = /^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|BUSY|OOM)\b/;

/** Whether Redis has answered, and waiting for it does not make it carry the command out. */
export function redisRefuses(error: unknown): boolean {
  const { name, message = '' } = error as Partial<Error>;
  return name === 'ReplyError' && !UNABLE.test(message);
}
