/** A Lua script in a file of its own, sent once and called by its digest from then on. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { projectRoot } from '../../paths';

export class LuaScript {
  private readonly text: string;
  private readonly sha: string;

  /** `name` is the file's, without folder and ending. */
  constructor(name: string) {
    this.text = readFileSync(
      join(projectRoot(), 'src/activities/redis/lua', `${name}.lua`),
      'utf8',
    );
    this.sha = createHash('sha1').update(this.text).digest('hex');
  }

  async run(redis: Redis, keys: string[], args: (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error;
      // Awaited: replies that are read together reach their callers in the order of the calls.
      return await redis.eval(this.text, keys.length, ...keys, ...args);
    }
  }
}
