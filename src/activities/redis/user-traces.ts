/**
 * What Redis remembers of a user, taken out: `msg:*` of their messages, their devices on messages they
 * were sent, and their count. Found by walking all keys, for there is no list of them.
 */
import type { RedisConnection } from './connection';
import { countKey } from './inbox-counts';

/** Keys of one step of the walk: a millisecond or two of Redis. */
const SCAN_COUNT = 500;

export interface TracesPage {
  readonly removed: number;
  /** Where the walk goes on; `undefined` at its end. */
  readonly next: string | undefined;
}

export class UserTraces {
  constructor(private readonly connection: RedisConnection) {}

  /** One step of the walk, from its start with '0'. May be repeated. */
  async erasePage(userId: string, cursor: string): Promise<TracesPage> {
    const { redis } = this.connection.use();
    // Of another type is none of ours, and no reason to stop at.
    const [next, keys] = (await redis.call('SCAN', [
      cursor,
      'MATCH',
      'msg:*',
      'COUNT',
      SCAN_COUNT,
      'TYPE',
      'hash',
    ])) as [string, string[]];
    let removed = 0;
    if (keys.length > 0) {
      const found = await redis
        .pipeline(keys.map((key) => ['hmget', key, 'sender', 'conv']))
        .exec();
      const theirs: string[] = [];
      const toThem: string[] = [];
      for (const [i, key] of keys.entries()) {
        const [error, fields] = found?.[i] ?? [new Error('no reply'), null];
        if (error) throw error;
        const [sender, conversation] = fields as [string | null, string | null];
        if (sender === userId) theirs.push(key);
        else if (isPrivateWith(conversation, userId)) toThem.push(key);
      }
      if (theirs.length > 0) removed = await redis.unlink(theirs);
      if (toThem.length > 0)
        await redis.pipeline(toThem.map((key) => ['hdel', key, 'devices'])).exec();
    }
    if (next !== '0') return { removed, next };
    removed += await redis.unlink(countKey(userId));
    return { removed, next: undefined };
  }
}

/** `conversation`: `{type}:{conversation key}`. */
function isPrivateWith(conversation: string | null, userId: string): boolean {
  if (!conversation?.startsWith('private:')) return false;
  return conversation.slice('private:'.length).split('/').includes(userId);
}
