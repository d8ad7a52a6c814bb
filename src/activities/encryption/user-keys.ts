/**
 * The data keys of users: made when a user first needs one, wrapped in MySQL, and kept unwrapped in
 * memory for a while, so that a message of someone who has sent before asks nobody.
 *
 * The keys of a user who was erased are gone from MySQL. Memory follows: what opens stored content is
 * taken from it only while the process knows who was erased ({@link ErasedView.isFresh}), else from
 * MySQL. So soon after their keys were destroyed no process opens anything with them.
 */
import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Coalescer } from '../coalescer';
import type { Metrics } from '../../metrics';
import type { ErasedView } from '../../domain/erasure';
import type { UserKeyRow, UserKeyRows } from '../mysql/user-key-rows';
import { KeyLostError } from './key-provider';
import type { KeyProvider } from './key-provider';

const KEY_BYTES = 32;
const KEY_ID_BYTES = 16;
/** Users of one trip to MySQL, and users who may wait for theirs. */
const MAX_BATCH = 200;
const MAX_QUEUED = 20_000;

export interface DataKey {
  readonly keyId: string;
  readonly userId: string;
  readonly key: KeyObject;
  /** unix ms */
  readonly createdAt: number;
}

export interface UserKeysOptions {
  readonly rows: Pick<UserKeyRows, 'newest' | 'byIds' | 'add'>;
  readonly provider: KeyProvider;
  readonly importKey: (bytes: Buffer) => KeyObject;
  /** Keys in memory, and for how long, ms: a key destroyed elsewhere may live on here for as long. */
  readonly cacheMax: number;
  readonly cacheTtlMs: number;
  /** A key older than this is no longer used for new messages, ms. */
  readonly maxAgeMs: number;
  readonly now: () => number;
  /** Nobody gets keys of these users any more. */
  readonly erased: ErasedView;
  readonly metrics: Metrics;
}

type Outcome = { readonly key: DataKey } | { readonly error: unknown };

export class UserKeys {
  private readonly newest: LRUCache<string, DataKey>;
  private readonly byId: LRUCache<string, DataKey>;
  private readonly loads: Coalescer<string, Outcome>;

  constructor(private readonly options: UserKeysOptions) {
    const bounds = { max: options.cacheMax, ttl: options.cacheTtlMs };
    this.newest = new LRUCache(bounds);
    this.byId = new LRUCache(bounds);
    this.loads = new Coalescer({
      run: (userIds) => this.loadNewest(userIds),
      maxBatch: MAX_BATCH,
      maxQueued: MAX_QUEUED,
    });
  }

  /** The key for new messages, if it is at hand. */
  remembered(userId: string): DataKey | undefined {
    const key = this.newest.get(userId);
    return key && !this.isOld(key) && !this.options.erased.has(userId) ? key : undefined;
  }

  /** The key for new messages of the user, made if there is none or it is too old. */
  async current(userId: string): Promise<DataKey> {
    const remembered = this.remembered(userId);
    if (remembered) return remembered;
    const outcome = await this.loads.add(userId);
    if ('error' in outcome) throw outcome.error;
    return outcome.key;
  }

  /** The keys of these ids; those that are lost for good are not among them. */
  async find(keyIds: Iterable<string>): Promise<Map<string, DataKey>> {
    const found = new Map<string, DataKey>();
    const unknown: string[] = [];
    const { erased } = this.options;
    for (const keyId of new Set(keyIds)) {
      const key = this.byId.get(keyId);
      if (!key || !erased.isFresh()) unknown.push(keyId);
      else if (!erased.has(key.userId)) found.set(keyId, key);
    }
    const rows = unknown.length > 0 ? await this.options.rows.byIds(unknown) : [];
    await Promise.all(
      rows.map(async (row) => {
        try {
          found.set(row.keyId, await this.unwrap(row));
        } catch (error) {
          if (!(error instanceof KeyLostError)) throw error;
        }
      }),
    );
    return found;
  }

  /** Forgets the keys of a user who was erased. */
  forget(userId: string): void {
    this.newest.delete(userId);
    for (const [keyId, key] of this.byId.entries()) {
      if (key.userId === userId) this.byId.delete(keyId);
    }
  }

  /** Makes a new key for the user, whatever the age of the one they have. */
  async rotate(userId: string): Promise<DataKey> {
    const before = (await this.options.rows.newest([userId])).get(userId);
    await this.options.rows.add([await this.create(userId, before)]);
    this.newest.delete(userId);
    return this.current(userId);
  }

  private async loadNewest(userIds: string[]): Promise<Outcome[]> {
    const { rows } = this.options;
    const distinct = [...new Set(userIds)];
    let newest = await rows.newest(distinct);
    const lacking = distinct.filter((userId) => {
      const row = newest.get(userId);
      return !row || this.isOld(row);
    });
    if (lacking.length > 0) {
      await rows.add(await Promise.all(lacking.map((id) => this.create(id, newest.get(id)))));
      // Read again: another process may have been first, and one key is enough.
      newest = await rows.newest(distinct);
    }
    const outcomes = new Map<string, Outcome>();
    await Promise.all(
      [...newest.values()].map(async (row) => outcomes.set(row.userId, await this.take(row))),
    );
    return userIds.map(
      (userId) => outcomes.get(userId) ?? { error: new KeyLostError('the user was erased') },
    );
  }

  private async take(row: UserKeyRow): Promise<Outcome> {
    try {
      const key = await this.unwrap(row);
      this.newest.set(row.userId, key);
      return { key };
    } catch (error) {
      return { error };
    }
  }

  private async create(userId: string, before: UserKeyRow | undefined): Promise<UserKeyRow> {
    const { provider, now, metrics } = this.options;
    const keyId = randomBytes(KEY_ID_BYTES).toString('base64url');
    const wrapped = await provider.wrap(randomBytes(KEY_BYTES), contextOf(userId, keyId));
    metrics.userKeysCreated.inc();
    return { keyId, userId, version: (before?.version ?? 0) + 1, createdAt: now(), ...wrapped };
  }

  private async unwrap(row: UserKeyRow): Promise<DataKey> {
    const { provider, importKey } = this.options;
    const known = this.byId.get(row.keyId);
    if (known) return known;
    const bytes = await provider.unwrap(row, contextOf(row.userId, row.keyId));
    const { keyId, userId, createdAt } = row;
    const key: DataKey = { keyId, userId, createdAt, key: importKey(bytes) };
    bytes.fill(0);
    this.byId.set(keyId, key);
    return key;
  }

  private isOld({ createdAt }: Pick<DataKey, 'createdAt'>): boolean {
    return createdAt + this.options.maxAgeMs <= this.options.now();
  }
}

/** What a wrapped key is bound to: in another user's row it does not unwrap. No id contains `/`. */
export function contextOf(userId: string, keyId: string): string {
  return `im-user-key/${userId}/${keyId}`;
}
