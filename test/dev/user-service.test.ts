/** The development user service keeps the deployed one's contract, asked over real gRPC. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@grpc/grpc-js';
import { call, connect, loadService } from '../../dev/common/grpc';
import { DevUserService, userServiceConfig } from '../../dev/user-service/user-service';
import { quiet, unique } from './support';

interface Members {
  members: { user_id: string; role: number; joined_at: { seconds: number } }[];
  next_cursor: string;
  total_count: number;
  has_more: boolean;
  error_code: number;
}

let service: DevUserService;
let client: Client;
const ask = <T>(method: string, request: object) => call<T>(client, method, request, 5_000);
const members = (request: object) => ask<Members>('GetGroupMembers', request);

async function http(method: string, path: string, body?: unknown) {
  const response = await fetch(`${service.httpUrl}${path}`, {
    method,
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(5_000),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as object) };
}

beforeAll(async () => {
  service = new DevUserService({ grpcPort: 0, httpPort: 0, kafkaBrokers: [] }, quiet);
  await service.start();
  client = connect(loadService('user/v1/user.proto', 'user.v1.UserService'), service.grpcAddress);
});

afterAll(async () => {
  client.close();
  await service.stop();
});

describe('users', () => {
  test('any user exists', async () => {
    const answer = await ask('GetUser', { user_id: 'alice' });
    expect(answer).toMatchObject({ user: { user_id: 'alice', status: 1 }, error_code: 0 });
  });

  test('except those that start with unknown: told in-band', async () => {
    const answer = await ask('GetUser', { user_id: 'unknown-1' });
    expect(answer).toMatchObject({ user: null, error_code: 1 });
    expect(await ask('GetUser', { user_id: '' })).toMatchObject({ error_code: 3 });
  });

  test('a user added over HTTP exists under any name, until removed', async () => {
    await http('PUT', '/users/unknown-2', { display_name: 'Known after all' });
    const found = await ask('GetUser', { user_id: 'unknown-2' });
    expect(found).toMatchObject({ user: { display_name: 'Known after all' }, error_code: 0 });
    await http('DELETE', '/users/unknown-2');
    expect(await ask('GetUser', { user_id: 'unknown-2' })).toMatchObject({ error_code: 1 });
  });

  test('a batch names who was found and who was not; 100 ids are taken, 101 are code 5', async () => {
    const mixed = await ask<{ users: object; not_found_user_ids: string[] }>('BatchGetUsers', {
      user_ids: ['alice', 'unknown-1', 'bob'],
    });
    expect(Object.keys(mixed.users)).toEqual(['alice', 'bob']);
    expect(mixed.not_found_user_ids).toEqual(['unknown-1']);
    const ids = Array.from({ length: 101 }, (_, index) => `u${index}`);
    const full = await ask('BatchGetUsers', { user_ids: ids.slice(0, 100) });
    expect(full).toMatchObject({ error_code: 0 });
    const over = await ask('BatchGetUsers', { user_ids: ids });
    expect(over).toMatchObject({ users: {}, error_code: 5 });
  });
});

describe('groups', () => {
  test('a group exists only once it was added', async () => {
    const group = unique('g');
    expect(await members({ group_id: group })).toMatchObject({ error_code: 2, members: [] });
    const put = await http('PUT', `/groups/${group}`, { members: ['alice', 'bob'] });
    expect(put.body).toMatchObject({ member_count: 2, joined: 2, left: 0 });
    const answer = await members({ group_id: group });
    expect(answer).toMatchObject({ error_code: 0, total_count: 2, has_more: false });
    expect(answer.members.map((member) => member.user_id)).toEqual(['alice', 'bob']);
    expect(answer.members[0]?.joined_at.seconds).toBeGreaterThan(1_700_000_000);
    await http('DELETE', `/groups/${group}`);
    expect(await members({ group_id: group })).toMatchObject({ error_code: 2 });
  });

  test('pages hold 100 unless told and 1000 at most, and together hold everyone once', async () => {
    const group = unique('g');
    await http('PUT', `/groups/${group}`);
    await http('PUT', `/groups/${group}/members`, { count: 2_345, prefix: 'u' });
    const first = await members({ group_id: group });
    expect(first.members).toHaveLength(100);
    expect(first).toMatchObject({ total_count: 2_345, has_more: true });

    const seen: string[] = [];
    const sizes: number[] = [];
    for (let cursor = '', more = true; more;) {
      const page = await members({ group_id: group, cursor, limit: 5_000 });
      seen.push(...page.members.map((member) => member.user_id));
      sizes.push(page.members.length);
      ({ next_cursor: cursor, has_more: more } = page);
    }
    expect(sizes).toEqual([1000, 1000, 345]);
    expect(new Set(seen).size).toBe(2_345);
  });

  test('who joins or leaves between two pages makes nobody be skipped', async () => {
    const group = unique('g');
    await http('PUT', `/groups/${group}`, { members: ['a', 'b', 'c', 'd'] });
    const first = await members({ group_id: group, limit: 2 });
    await http('DELETE', `/groups/${group}/members/a`);
    await http('PUT', `/groups/${group}/members/e`);
    const second = await members({ group_id: group, limit: 10, cursor: first.next_cursor });
    expect(second.members.map((member) => member.user_id)).toEqual(['c', 'd', 'e']);
  });

  test('a cursor that is not ours and a negative limit are invalid requests', async () => {
    const group = unique('g');
    await http('PUT', `/groups/${group}`);
    expect(await members({ group_id: group, cursor: 'x' })).toMatchObject({ error_code: 3 });
    expect(await members({ group_id: group, limit: -1 })).toMatchObject({ error_code: 3 });
    expect(await members({ group_id: '' })).toMatchObject({ error_code: 3 });
  });

  test('membership is answered for members, others, unknown people and unknown groups', async () => {
    const group = unique('g');
    await http('PUT', `/groups/${group}`, { display_name: 'Book club', members: ['alice'] });
    const validate = (user_id: string, group_id = group) =>
      ask('ValidateGroupMembership', { user_id, group_id });
    const name = { group_display_name: 'Book club' };
    expect(await validate('alice')).toMatchObject({ is_member: true, member: name, error_code: 0 });
    expect(await validate('bob')).toMatchObject({ is_member: false, member: null, error_code: 0 });
    expect(await validate('unknown-1')).toMatchObject({ is_member: false, error_code: 1 });
    expect(await validate('alice', unique('g'))).toMatchObject({ is_member: false, error_code: 2 });
  });

  test('replacing the members reports who came and who went', async () => {
    const group = unique('g');
    await http('PUT', `/groups/${group}`, { members: ['a', 'b'] });
    const replaced = await http('PUT', `/groups/${group}/members`, ['b', 'c', 'd']);
    expect(replaced.body).toMatchObject({ member_count: 3, joined: 2, left: 1 });
    const shown = await http('GET', `/groups/${group}?limit=1`);
    expect(shown.body).toMatchObject({
      member_count: 3,
      members: [{ user_id: 'b' }],
      has_more: true,
    });
  });

  test('bad requests over HTTP are told so', async () => {
    expect((await http('PUT', `/groups/${unique('g')}/members/alice`)).status).toBe(404);
    expect((await http('PUT', '/groups/a%2Fb')).status).toBe(400);
    expect((await http('PUT', `/groups/${unique('g')}`, { member: [] })).status).toBe(400);
    expect((await http('PUT', `/groups/${unique('g')}`, { members: ['a/b'] })).status).toBe(400);
  });
});

test('users and groups can be there from the start, from a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-user-service-'));
  const seedFile = join(folder, 'seed.json');
  const users = { 'unknown-friend': { display_name: 'Friend' } };
  writeFileSync(seedFile, JSON.stringify({ users, groups: { club: ['alice', 'bob'] } }));
  const seeded = new DevUserService(
    { grpcPort: 0, httpPort: 0, kafkaBrokers: [], seedFile },
    quiet,
  );
  expect(seeded.directory.size('club')).toBe(2);
  expect(seeded.directory.user('unknown-friend')?.displayName).toBe('Friend');
  writeFileSync(seedFile, JSON.stringify({ groups: { club: ['a/b'] } }));
  const broken = () =>
    new DevUserService({ grpcPort: 0, httpPort: 0, kafkaBrokers: [], seedFile }, quiet);
  expect(broken).toThrow(seedFile);
  rmSync(folder, { recursive: true });
  await seeded.stop();
});

test('PORT_OFFSET moves the default ports and leaves alone those that are set', () => {
  expect(userServiceConfig({})).toMatchObject({ grpcPort: 9096, httpPort: 8096 });
  const shifted = userServiceConfig({ PORT_OFFSET: '1000', DEV_USER_SERVICE_PORT: '5555' });
  expect(shifted).toMatchObject({ grpcPort: 5555, httpPort: 9096 });
  expect(() => userServiceConfig({ PORT_OFFSET: 'many' })).toThrow('PORT_OFFSET=many');
});
