/** Deleting messages as a client does, and looking whether anything is left. */
import { deepEqual, notDeepEqual, rejects } from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Redis } from 'ioredis';
import type { Database } from '../../src/activities/mysql/database';
import type { ImClient } from './im-client';
import { tokenFor } from './rest-client';
import type { Answer, RestClient } from './rest-client';
import { tracesOf } from './traces';
import { waitFor } from './wait';

export class Deletions {
  constructor(
    private readonly deps: {
      readonly client: ImClient;
      readonly rest: RestClient;
      readonly db: Database;
      readonly redis: Redis;
    },
  ) {}

  async remove(user: string, msgId: string, scope = ''): Promise<Answer> {
    const token = await tokenFor(user, scope ? { scope } : {});
    return this.deps.rest.send('DELETE', `/api/v1/messages/${encodeURIComponent(msgId)}`, {
      authorization: `Bearer ${token}`,
    });
  }

  /** Deletes it, waits for the end if need be, and expects that nothing is left. */
  async removeForGood(user: string, msgId: string, content: string): Promise<void> {
    const { client, db, redis } = this.deps;
    // Or the search afterwards would prove nothing.
    notDeepEqual(await tracesOf(db, redis, [msgId]), []);
    let answer = await this.remove(user, msgId);
    await waitFor('the deletion to end', 60_000, async () => {
      if (answer.status === 202) answer = await this.remove(user, msgId);
      return answer.status !== 202;
    });
    deepEqual(answer.body, { success: true, message: 'Message deleted from all systems' });
    deepEqual(await tracesOf(db, redis, [msgId, content]), []);
    await rejects(client.status(msgId), { code: status.NOT_FOUND });
  }
}
