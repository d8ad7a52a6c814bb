/** Every cell of the README's table under "Authorization". */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from '../../src/activities/mysql/database';
import { GdprJobs } from '../../src/activities/mysql/gdpr-jobs';
import { Holds } from '../../src/activities/mysql/holds';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { groupConversation } from '../../src/domain/ids';
import { projectRoot } from '../../src/paths';
import { exportParts, writeBundle } from '../support/exports';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { message, offline } from '../support/records';
import { RestClient, tokenFor } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

const CONTENT = 'only for its members';

interface Cell {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly variant: 'private' | 'group';
  readonly another: boolean;
  /** Asked for the sender's, whoever asks. */
  readonly ofSender: boolean;
  readonly role: string;
  readonly expected: string;
}

function cells(): Cell[] {
  const readme = readFileSync(join(projectRoot(), 'README.md'), 'utf8');
  const [, section = ''] = readme.split('\n## Authorization\n');
  const [text = ''] = section.split('\n## ');
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('| --'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const [head = [], ...body] = rows;
  return body.flatMap(([endpoints = '', ...expected]) =>
    [...endpoints.matchAll(/`(\w+) (\S+)`/g)].flatMap(([, method = '', path = '']) =>
      expected.map((cell, i) => {
        const variant = endpoints.includes('(group)') ? ('group' as const) : ('private' as const);
        const role = head[i + 1] ?? '';
        const name = `${method} ${endpoints} as ${variant} by ${role} is ${cell}`;
        const another = endpoints.includes('(of another)');
        const ofSender = endpoints.includes('of the sender');
        return { name, method, path, variant, another, ofSender, role, expected: cell };
      }),
    ),
  );
}

describe('who may do what', () => {
  const users = Object.fromEntries(
    ['sender', 'recipient', 'member', 'compliance', 'operator', 'nobody'].map((role) => [
      role,
      unique(role),
    ]),
  ) as Record<string, string>;
  const scopes: Record<string, string> = { compliance: 'im:compliance', operator: 'im:operator' };
  const group = unique('group');
  const msgIds = { private: unique('msg'), group: unique('msg') };
  let system: TestSystem;
  let db: Database;
  let rest: RestClient;
  let jobId: string;
  let holdId: string;
  let bundleJobId: string;

  beforeAll(async () => {
    // No worker runs: a job is taken, and waited for no longer than half of this.
    system = await startSystem({ IM_HTTP_DEADLINE_MS: '2000' });
    db = await openDatabase();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
    const { sender = '', recipient = '', member = '' } = users;
    system.users.directory.putGroup(group);
    for (const user of [sender, recipient, member]) {
      system.users.directory.addUser(user, user, '');
      system.users.directory.addMember(group, user);
    }
    await store(msgIds);
    const jobs = new GdprJobs(db, Date.now);
    const { job } = await jobs.request({
      kind: 'erase',
      userId: sender,
      requestedBy: sender,
      requestedRole: 'own',
      name: sender,
      workflowId: () => sender,
      input: { userId: sender },
      audit: { action: 'user.erase', subjectKind: 'user', subjectId: sender },
    });
    jobId = job.jobId;
    // Ended, so that no sweep of another test's worker erases the sender.
    await jobs.finish({ jobId, state: 'done', steps: [], expires: [] });
    const hold = await new Holds(db, Date.now).place({
      holdId: randomUUID(),
      kind: 'user',
      subject: unique('held'),
      reason: 'a case',
      placedBy: 'officer',
    });
    holdId = hold.holdId;
    bundleJobId = await exportedJob(sender);
  });
  afterAll(async () => {
    await db.close();
    await system.close();
  });

  /** A message of the sender's to the recipient, and one to the group. */
  async function store(ids: typeof msgIds): Promise<void> {
    const { sender = '', recipient = '', member = '' } = users;
    const toGroup = {
      ...message({ senderId: sender, msgId: ids.group, content: CONTENT }),
      conversation: groupConversation(group),
      recipientId: undefined,
    };
    await new MessageStore(db, { ttlMs: 600_000 }).storeOffline([
      offline({ senderId: sender, recipientId: recipient, msgId: ids.private, content: CONTENT }),
      { message: toGroup, recipients: [recipient, member] },
    ]);
  }

  /** A job that has made an export of the user. */
  async function exportedJob(userId: string): Promise<string> {
    const jobs = new GdprJobs(db, Date.now);
    const { job } = await jobs.request({
      kind: 'export',
      userId,
      requestedBy: userId,
      requestedRole: 'own',
      name: unique('export'),
      workflowId: (id) => id,
      input: { userId },
      audit: { action: 'user.export', subjectKind: 'user', subjectId: userId },
    });
    await writeBundle(await exportParts(db), userId, job.jobId);
    await jobs.finish({ jobId: job.jobId, state: 'done', steps: [], expires: [] });
    return job.jobId;
  }

  async function request({
    method,
    path,
    variant,
    role,
    another,
    ofSender,
  }: Cell): Promise<{ path: string; body?: object }> {
    const { sender = '', recipient = '' } = users;
    if (path === '/api/v1/messages/{msg_id}') {
      // One for each: it does not stay.
      const ids = { private: unique('msg'), group: unique('msg') };
      await store(ids);
      return { path: path.replace('{msg_id}', ids[variant]) };
    }
    const id = variant === 'group' ? group : [sender, recipient].sort().join('_');
    switch (path) {
      case '/api/v1/messages/read':
        return { path, body: { msg_id: msgIds[variant] } };
      case '/api/v1/messages/receipts':
        return { path: `${path}?msg_id=${msgIds[variant]}` };
      case '/api/v1/gdpr/erasure':
        return { path, body: another ? { user_id: unique('another') } : {} };
      case '/api/v1/gdpr/holds':
        if (method === 'GET') return { path };
        return { path, body: { user_id: unique('held'), reason: `asked for by ${role}` } };
      case '/api/v1/gdpr/holds/{id}':
        return { path: path.replace('{id}', holdId) };
      case '/api/v1/export':
        return { path: ofSender ? `${path}?user_id=${sender}` : path };
      case '/api/v1/gdpr/jobs/{id}/bundle':
        return { path: path.replace('{id}', bundleJobId) };
      case '/api/v1/gdpr/jobs/{id}':
        return { path: path.replace('{id}', jobId) };
      case '/api/v1/conversations/read':
        return {
          path,
          body: { conversation_type: variant, conversation_id: id, up_to_sequence: 0 },
        };
      default:
        return { path: path.replace('{type}', variant).replace('{id}', id) };
    }
  }

  test.each(cells().map((cell) => [cell.name, cell] as const))('%s', async (_name, cell) => {
    const user = users[cell.role];
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (user) {
      const scope = scopes[cell.role];
      headers['authorization'] = `Bearer ${await tokenFor(user, scope ? { scope } : {})}`;
    }
    const { path, body } = await request(cell);
    const answer = await rest.send(cell.method, path, headers, body && JSON.stringify(body));
    if (cell.expected === 'any') expect([200, 503]).toContain(answer.status);
    // What is accepted is allowed.
    else if (answer.status === 202) expect(cell.expected).toMatch(/^20[02]/);
    else expect(String(answer.status)).toBe(cell.expected.split(' ')[0]);
    if (answer.status >= 400) expect(answer.text).not.toContain(CONTENT);
    if (!cell.expected.endsWith('own')) return;
    for (const { recipient_id } of answer.body.messages ?? []) {
      expect(recipient_id).toBe(user);
    }
  });

  test('names every endpoint that there is', async () => {
    const { paths } = await rest.openApi();
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const named = new Set(cells().map(({ method, path }) => `${method} ${path}`));
    expect([...named].sort()).toEqual(documented.sort());
  });
});
