/** Groups of the tests: made through the user service's own HTTP side, so that Kafka hears of changes. */
import type { Database } from '../../src/activities/mysql/database';
import { unique } from './ids';
import type { RouteResponse } from './im-client';
import type { TestSystem } from './system';
import { waitFor } from './wait';

export class TestGroup {
  readonly id = unique('group');

  private constructor(private readonly system: Pick<TestSystem, 'users' | 'client'>) {}

  /** A group with these members; its events are on Kafka when this resolves. */
  static async make(
    system: Pick<TestSystem, 'users' | 'client'>,
    members: readonly string[],
  ): Promise<TestGroup> {
    const group = new TestGroup(system);
    await group.ask('PUT', '', { members });
    return group;
  }

  join(userId: string): Promise<void> {
    return this.ask('PUT', `/members/${userId}`);
  }

  leave(userId: string): Promise<void> {
    return this.ask('DELETE', `/members/${userId}`);
  }

  send(senderId: string, content = 'hello all', msgId = unique('msg')): Promise<RouteResponse> {
    return this.system.client.routeGroup({
      msg_id: msgId,
      sender_id: senderId,
      group_id: this.id,
      content,
      timestamp: Date.now(),
    });
  }

  /** Sends `count` messages, each answered "published"; resolves to their ids. */
  async sendMany(senderId: string, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      const id = unique('msg');
      const answer = await this.send(senderId, `message ${i}`, id);
      if (!answer.success) throw new Error(answer.error_message);
      ids.push(id);
    }
    return ids;
  }

  private async ask(method: string, path: string, body?: object): Promise<void> {
    const response = await fetch(`${this.system.users.httpUrl}/groups/${this.id}${path}`, {
      method,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  }
}

/** `count` user ids that nobody else has. */
export function people(count: number, name = 'member'): string[] {
  const prefix = unique(name);
  return Array.from({ length: count }, (_, i) => `${prefix}-${i + 1}`);
}

/** Waits until MySQL has these messages. */
export async function stored(db: Database, msgIds: readonly string[]): Promise<void> {
  await waitFor(`${msgIds.length} messages in MySQL`, 30_000, async () => {
    const rows = await db.select('SELECT 1 FROM messages WHERE msg_id IN (?)', [msgIds]);
    return rows.length === msgIds.length;
  });
}

/** Who has an inbox row for a message, and how many there are. */
export async function rowsOf(db: Database, msgId: string): Promise<string[]> {
  const rows = await db.select<{ user_id: string }>(
    'SELECT user_id FROM inbox WHERE msg_id = ? ORDER BY user_id',
    [msgId],
  );
  return rows.map((row) => row.user_id);
}
