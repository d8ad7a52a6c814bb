/** Master keys come and go: the keys command, and the workflow it starts. */
import type { Client } from '@temporalio/client';
import { Database } from '../../src/activities/mysql/database';
import { REWRAP_ID } from '../../src/domain/key-rotation';
import { runKeys } from '../../src/keys';
import { rewrapPage } from '../../src/routing/rewrap-keys';
import type { RunningWorker } from '../../src/worker';
import { encryptionOn, openEncryption } from '../support/encryption';
import { unique } from '../support/ids';
import { createDatabase } from '../support/mysql';
import { message } from '../support/records';
import { testConfig } from '../support/system';
import { connectTemporal, startTestWorker } from '../support/worker';

const USERS = 450;

describe('the rotation of the master key', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let temporal: Client;
  let worker: RunningWorker | undefined;

  const before = encryptionOn('first').IM_MASTER_KEYS;
  const added = encryptionOn('second').IM_MASTER_KEYS;
  const both = { ENCRYPTION: 'on', IM_MASTER_KEYS: `${added},${before}` } as const;
  const after = { ENCRYPTION: 'on', IM_MASTER_KEYS: added } as const;

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 4, deadlineMs: 5_000 });
    temporal = await connectTemporal(testConfig());
  });
  afterAll(async () => {
    await worker?.close();
    await temporal.connection.close();
    await db.close();
    await own.drop();
  });

  const settings = (keys: object) => ({
    ...process.env,
    ...keys,
    MYSQL_URL: own.url,
    IM_TEMPORAL_TASK_QUEUE: taskQueue,
  });
  const taskQueue = unique('queue');
  const command = async (words: string, keys: object) => {
    const written: string[] = [];
    const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text));
      return true;
    });
    try {
      return { code: await runKeys(words.split(' '), settings(keys)), output: written.join('') };
    } finally {
      spy.mockRestore();
    }
  };

  it('goes on where it ended, leaves every message readable, and then the old key is not needed', async () => {
    const first = await openEncryption(db, { ENCRYPTION: 'on', IM_MASTER_KEYS: before });
    const messages = Array.from({ length: USERS }, () => message({ content: 'old' }));
    const sealed = await Promise.all(messages.map((m) => first.content.seal(m)));
    expect(await command('status', both)).toEqual({
      code: 0,
      output: expect.stringMatching(/^second +0 .* current\nfirst +450 /m) as string,
    });

    const page = await rewrapPage(await openEncryption(db, both), '');
    expect(page).toMatchObject({ rewrapped: 200, left: 0 });

    const changes = { ...both, MYSQL_URL: own.url, IM_TEMPORAL_TASK_QUEUE: taskQueue };
    worker = await startTestWorker(testConfig({ ...changes, IM_KAFKA_CLIENT_ID: unique('im') }));
    expect((await command('rotate master', both)).code).toBe(0);
    const result: unknown = await temporal.workflow.getHandle(REWRAP_ID).result();
    expect(result).toEqual({ rewrapped: USERS - 200, left: 0 });

    const last = await openEncryption(db, after);
    const opened = await last.content.open(sealed);
    expect(opened.filter((m) => m.content === 'old')).toHaveLength(USERS);
    // And those that the worker needed for what other tests left on the topics.
    const { output } = await command('status', after);
    expect(
      Number(/^second +(\d+) data keys {2}current$/m.exec(output)?.[1]),
    ).toBeGreaterThanOrEqual(USERS);
    expect(output).not.toMatch(/^first/m);
  });

  it('fails visibly when keys are left that nothing unwraps, and says so in "status"', async () => {
    const lost = await openEncryption(db, encryptionOn('lost'));
    await lost.keys.current(unique('user'));
    await command('rotate master', both);
    const ended = temporal.workflow.getHandle(REWRAP_ID).result();
    await expect(ended).rejects.toMatchObject({ cause: { type: 'KeysLeft' } });
    const { code, output } = await command('status', both);
    expect(code).toBe(1);
    expect(output).toMatch(/^lost +1 data keys {2}MISSING$/m);
  });

  it('of a user gives a new data key, and older messages stay readable', async () => {
    const encryption = await openEncryption(db, after);
    const sealed = await encryption.content.seal(message({ content: 'old' }));
    const { keyId } = await encryption.keys.current(sealed.senderId);
    const { code, output } = await command(`rotate user ${sealed.senderId}`, after);
    expect(code).toBe(0);
    expect(output).not.toContain(keyId);
    const fresh = await openEncryption(db, after);
    expect((await fresh.keys.current(sealed.senderId)).keyId).not.toBe(keyId);
    expect((await fresh.content.open([sealed]))[0]?.content).toBe('old');
  });

  it('begins with a key that "create" prints', async () => {
    const { output } = await command('create 2026-11', {});
    expect(output).toMatch(/^2026-11:[A-Za-z0-9+/]{43}=\n$/);
    await expect(command('create bad:id', {})).rejects.toThrow('an id has');
    await expect(command('destroy everything', {})).rejects.toThrow('unknown command');
  });
});
