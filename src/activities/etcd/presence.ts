/**
 * Who is online, and where: a bounded cache of the registry that an etcd watch keeps true.
 *
 * An entry is read from etcd when first asked for (absence is an entry too) and carries the revision
 * of that reading; the watch applies what is newer. While the watch is not healthy the cache is not
 * believed: etcd is asked, and when it cannot be, the last known answer serves, marked as uncertain.
 * A watch that reconnects may have missed something, so the cache begins anew.
 */
import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import type { IWatchResponse, Watcher } from 'etcd3';
import { LRUCache } from 'lru-cache';
import { messageOf } from '../../domain/errors';
import type { Device } from '../../domain/message';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { withDeadline } from '../deadline';
import { parseDevice, parseKey, REGISTRY_PREFIX, userPrefix } from './registry';
import { devicesOf, readUserIds, readUsers } from './registry-reads';
import type { UserIdsPage } from './registry-reads';

/** How often etcd is asked whether it is there: how long a silent one can be taken for healthy, ms. */
const PROBE_INTERVAL_MS = 1_000;
/** Users in one question to etcd, whose own limit is 128, and questions at once. */
const MAX_ASKED = 100;
const MAX_QUESTIONS = 4;
/** For a question about many users, whom nobody waits for, ms. */
const BULK_DEADLINE_MS = 2_000;
/** How long, ms, and of how many users at most, it is remembered when a device appeared. */
const ARRIVAL_MS = 30_000;
const MAX_ARRIVALS = 100_000;
/** A new watch after one that etcd ended (compaction), ms. */
const REWATCH_DELAY_MS = 200;

export interface PresenceAnswer {
  readonly devices: readonly Device[];
  /** False when etcd could not be asked: `devices` is the last known answer, or empty. */
  readonly certain: boolean;
}

interface Entry {
  readonly devices: Map<string, Device>;
  /** etcd revision the entry was read at; older events do not apply to it. */
  readonly revision: bigint;
}

interface Change {
  readonly deviceId: string;
  /** `undefined`: the device is gone. */
  readonly device: Device | undefined;
  readonly revision: bigint;
}

export interface PresenceOptions {
  readonly endpoints: readonly string[];
  readonly deadlineMs: number;
  readonly cacheMax: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Presence {
  private readonly etcd: Etcd3;
  private readonly known: LRUCache<string, Entry>;
  private readonly arrivals = new LRUCache<string, number>({ max: MAX_ARRIVALS, ttl: ARRIVAL_MS });
  /** Lookups under way, with what the watch saw of their user meanwhile. */
  private readonly lookups = new Map<
    string,
    { changes: Change[]; answer: Promise<PresenceAnswer> }
  >();
  private readonly appearListeners: ((userId: string) => void)[] = [];
  private readonly vanishListeners: ((userId: string) => void)[] = [];
  private watcher: Watcher;
  private watching = false;
  private reachable = true;
  private closed = false;
  private readonly probeTimer: NodeJS.Timeout;
  private rewatchTimer: NodeJS.Timeout | undefined;

  constructor(private readonly options: PresenceOptions) {
    this.known = new LRUCache({ max: options.cacheMax });
    this.etcd = connect(options);
    this.probeTimer = setInterval(() => void this.probe(), PROBE_INTERVAL_MS);
    this.watcher = this.watch();
  }

  /** The user's devices; from memory while the watch is healthy, else from etcd. Never rejects. */
  lookup(userId: string): Promise<PresenceAnswer> {
    const devices = this.cached(userId);
    return devices ? Promise.resolve({ devices, certain: true }) : this.ask(userId);
  }

  /**
   * The devices of many users: from memory, and those not there from etcd, in few questions. A user it
   * could not be learned of is `uncertain`, with the last known devices. Never rejects.
   */
  async lookupMany(userIds: readonly string[]): Promise<Map<string, PresenceAnswer>> {
    const answers = new Map<string, PresenceAnswer>();
    const unknown: string[] = [];
    for (const userId of userIds) {
      const devices = this.cached(userId);
      if (devices) answers.set(userId, { devices, certain: true });
      else unknown.push(userId);
    }
    const questions = Array.from({ length: Math.ceil(unknown.length / MAX_ASKED) }, (_, i) =>
      unknown.slice(i * MAX_ASKED, (i + 1) * MAX_ASKED),
    );
    const lane = async (): Promise<void> => {
      for (let asked = questions.pop(); asked; asked = questions.pop()) {
        const found = await this.askMany(asked);
        asked.forEach((userId, i) => answers.set(userId, found[i] as PresenceAnswer));
      }
    };
    await Promise.all(Array.from({ length: MAX_QUESTIONS }, lane));
    return answers;
  }

  /** The user's devices if they are remembered and the watch vouches for them. */
  cached(userId: string): readonly Device[] | undefined {
    if (!this.healthy) return undefined;
    const entry = this.known.get(userId);
    return entry && [...entry.devices.values()];
  }

  /**
   * When the watch last told of a device of the user, by this machine's clock, unix ms; the registry
   * itself has whole seconds of the gateways' clocks. Forgotten after a while, and by a watch that ended.
   */
  arrivedAt(userId: string): number | undefined {
    return this.arrivals.get(userId);
  }

  /** Calls `listener` with a user of whom a device has come (or come again). */
  onAppear(listener: (userId: string) => void): void {
    this.appearListeners.push(listener);
  }

  /** Calls `listener` with a user of whom a device has gone, perhaps not the last one. */
  onVanish(listener: (userId: string) => void): void {
    this.vanishListeners.push(listener);
  }

  /** Rejects when etcd does not answer within the deadline. */
  async ping(): Promise<void> {
    await this.etcd.get('health').exec();
  }

  /** Addresses of gateways that some of the registered devices are at; at most `limit` devices are read. */
  async gatewayAddresses(limit: number): Promise<string[]> {
    const values = await this.etcd.getAll().prefix(REGISTRY_PREFIX).limit(limit).exec();
    const devices = values.kvs.map((kv) => parseDevice('', kv.value.toString()));
    return [...new Set(devices.flatMap((device) => (device ? [device.gateway] : [])))];
  }

  /** Users in the registry, a page of them, after `afterUserId` ('' from the start). */
  registeredUsers(afterUserId: string): Promise<UserIdsPage> {
    return readUserIds(this.etcd, afterUserId, Date.now() + BULK_DEADLINE_MS);
  }

  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.probeTimer);
    clearTimeout(this.rewatchTimer);
    this.setWatching(false);
    try {
      // Closing the client leaves the watch's stream open.
      await withDeadline(this.watcher.cancel(), this.options.deadlineMs, 'ending the watch');
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'registry: watch not ended');
    }
    this.etcd.close();
  }

  private get healthy(): boolean {
    return this.watching && this.reachable;
  }

  private ask(userId: string): Promise<PresenceAnswer> {
    const running = this.lookups.get(userId);
    if (running) return running.answer;
    if (!this.reachable) return Promise.resolve(this.lastKnown(userId));
    return this.look(userId, () => this.readOne(userId));
  }

  /** Asks of users whom no other lookup is under way for in one question, of the others by theirs. */
  private async askMany(userIds: readonly string[]): Promise<PresenceAnswer[]> {
    const free = userIds.filter((userId) => !this.lookups.has(userId));
    if (!this.reachable || free.length === 0) {
      return Promise.all(userIds.map((userId) => this.ask(userId)));
    }
    const reading = readUsers(this.etcd, free, Date.now() + BULK_DEADLINE_MS);
    free.forEach((userId, i) => {
      const devices = reading.then(({ devices, revision }) => ({
        devices: devices[i] ?? new Map<string, Device>(),
        revision,
      }));
      // Whose answer is taken below.
      void this.look(userId, () => devices);
    });
    return Promise.all(userIds.map((userId) => this.ask(userId)));
  }

  private async readOne(userId: string): Promise<Entry> {
    const response = await this.etcd.getAll().prefix(userPrefix(userId)).exec();
    return { devices: devicesOf(response.kvs), revision: BigInt(response.header.revision) };
  }

  private look(userId: string, read: () => Promise<Entry>): Promise<PresenceAnswer> {
    const changes: Change[] = [];
    const answer = this.read(userId, read, changes).finally(() => this.lookups.delete(userId));
    this.lookups.set(userId, { changes, answer });
    return answer;
  }

  private async read(
    userId: string,
    readEntry: () => Promise<Entry>,
    changes: Change[],
  ): Promise<PresenceAnswer> {
    try {
      const entry = await readEntry();
      for (const change of changes) apply(entry, change);
      this.known.set(userId, entry);
      return { devices: [...entry.devices.values()], certain: true };
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'registry: lookup failed');
      return this.lastKnown(userId);
    }
  }

  private lastKnown(userId: string): PresenceAnswer {
    const entry = this.known.get(userId);
    this.options.metrics.presenceStale.inc({ source: entry ? 'last_known' : 'nothing_known' });
    return { devices: entry ? [...entry.devices.values()] : [], certain: false };
  }

  private watch(): Watcher {
    const watcher = this.etcd.watch().prefix(REGISTRY_PREFIX).watcher();
    watcher.on('connected', () => {
      this.known.clear();
      this.setWatching(true);
    });
    watcher.on('disconnected', () => this.setWatching(false));
    watcher.on('data', (response) => this.onEvents(response));
    // etcd has ended this watch (compaction); etcd3 drops the watcher: watch again from now.
    watcher.on('error', (error) => {
      this.options.log.warn({ err: error.message }, 'registry: watch ended, watching again');
      this.setWatching(false);
      if (this.closed) return;
      this.rewatchTimer = setTimeout(() => (this.watcher = this.watch()), REWATCH_DELAY_MS);
    });
    return watcher;
  }

  private onEvents(response: IWatchResponse): void {
    for (const event of response.events) {
      const place = parseKey(event.kv.key.toString());
      if (!place) continue;
      const device =
        event.type === 'Put' ? parseDevice(place.deviceId, event.kv.value.toString()) : undefined;
      const change = {
        deviceId: place.deviceId,
        device,
        revision: BigInt(event.kv.mod_revision),
      };
      this.lookups.get(place.userId)?.changes.push(change);
      const entry = this.known.peek(place.userId);
      if (entry) apply(entry, change);
      if (device) this.arrivals.set(place.userId, Date.now());
      const listeners = device ? this.appearListeners : this.vanishListeners;
      for (const listener of listeners) listener(place.userId);
    }
  }

  private async probe(): Promise<void> {
    try {
      await this.ping();
      this.reachable = true;
    } catch (error) {
      this.reachable = false;
      this.options.log.debug({ err: messageOf(error) }, 'registry: unreachable');
    }
    this.options.metrics.presenceWatchHealthy.set(this.healthy ? 1 : 0);
  }

  private setWatching(watching: boolean): void {
    this.watching = watching;
    if (!watching) this.arrivals.clear();
    this.options.metrics.presenceWatchHealthy.set(this.healthy ? 1 : 0);
  }
}

function apply(entry: Entry, change: Change): void {
  if (change.revision <= entry.revision) return;
  if (change.device) entry.devices.set(change.deviceId, change.device);
  else entry.devices.delete(change.deviceId);
}

function connect(options: PresenceOptions): Etcd3 {
  const backoff = { duration: REWATCH_DELAY_MS, next: () => backoff };
  return new Etcd3({
    hosts: [...options.endpoints],
    dialTimeout: options.deadlineMs,
    defaultCallOptions: (context) =>
      context.isStream ? {} : { deadline: Date.now() + options.deadlineMs },
    grpcOptions: {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.keepalive_time_ms': 5_000,
      'grpc.keepalive_timeout_ms': 2_000,
    },
    // Its circuit breaker would keep an etcd that is back shut out for 5 s; our probe does that better.
    faultHandling: { host: () => noop, global: noop, watchBackoff: backoff },
  });
}
