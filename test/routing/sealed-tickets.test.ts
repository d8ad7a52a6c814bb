import { SealedTickets } from '../../src/routing/sealed-tickets';
import type { Database } from '../../src/activities/mysql/database';
import { encryptionOn, openEncryption } from '../support/encryption';
import { openDatabase } from '../support/mysql';

describe('a request that waits in Redis for Temporal', () => {
  let db: Database;
  beforeAll(async () => (db = await openDatabase()));
  afterAll(() => db.close());

  it('is sealed with encryption on, and is read whether it was or not', async () => {
    const keys = (await openEncryption(db, encryptionOn())).content;
    const redis = new Map<string, unknown>();
    const tickets = {
      put: (ticket: string, value: object) => Promise.resolve(void redis.set(ticket, value)),
      get: <T>(ticket: string) => Promise.resolve(redis.get(ticket) as T | undefined),
    };
    const on = new SealedTickets({ tickets, keys, sealing: true });
    const off = new SealedTickets({ tickets, keys, sealing: false });
    const request = { msg_id: 'm', content: 'canary' };
    await on.put('sealed', request);
    await off.put('plain', request);
    expect(JSON.stringify(redis.get('sealed'))).not.toContain('canary');
    for (const reader of [on, off]) {
      expect(await reader.get('sealed')).toEqual(request);
      expect(await reader.get('plain')).toEqual(request);
      expect(await reader.get('gone')).toBeUndefined();
    }
    redis.set('other', redis.get('sealed'));
    await expect(on.get('other')).rejects.toMatchObject({ code: 'ENCRYPTION_ERROR' });
  });
});
