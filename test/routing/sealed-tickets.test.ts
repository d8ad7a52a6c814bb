import type { TicketName } from '../../src/activities/redis/routing-tickets';
import { SealedTickets } from '../../src/routing/sealed-tickets';
import { Database } from '../../src/activities/mysql/database';
import { encryptionOn, openEncryption } from '../support/encryption';
import { createDatabase } from '../support/mysql';

const named = (ticket: string): TicketName => ({ msgId: 'm', ticket });

describe('a request that waits in Redis for Temporal', () => {
  // The key that seals them is one for the whole service: here with a master key of this test's.
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 2, deadlineMs: 5_000 });
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
  });

  it('is sealed with encryption on, and is read whether it was or not', async () => {
    const keys = (await openEncryption(db, encryptionOn())).content;
    const redis = new Map<string, unknown>();
    const tickets = {
      put: ({ ticket }: TicketName, value: object) =>
        Promise.resolve(void redis.set(ticket, value)),
      get: <T>({ ticket }: TicketName) => Promise.resolve(redis.get(ticket) as T | undefined),
    };
    const on = new SealedTickets({ tickets, keys, sealing: true });
    const off = new SealedTickets({ tickets, keys, sealing: false });
    const request = { msg_id: 'm', content: 'canary' };
    await on.put(named('sealed'), request);
    await off.put(named('plain'), request);
    expect(JSON.stringify(redis.get('sealed'))).not.toContain('canary');
    for (const reader of [on, off]) {
      expect(await reader.get(named('sealed'))).toEqual(request);
      expect(await reader.get(named('plain'))).toEqual(request);
      expect(await reader.get(named('gone'))).toBeUndefined();
    }
    redis.set('other', redis.get('sealed'));
    await expect(on.get(named('other'))).rejects.toMatchObject({ code: 'ENCRYPTION_ERROR' });
  });
});
