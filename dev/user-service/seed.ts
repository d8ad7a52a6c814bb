/** Users and groups that are there from the start, from a JSON file. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { isId } from '../common/ids';
import type { Directory } from './directory';

const id = z.string().refine(isId, 'not a usable id');
const seed = z.strictObject({
  users: z.record(id, z.strictObject({ display_name: z.string().optional() })).default({}),
  groups: z.record(id, z.array(id)).default({}),
});

/**
 * Fills the directory from a file such as
 * `{"users": {"alice": {"display_name": "Alice"}}, "groups": {"book-club": ["alice", "bob"]}}`.
 */
export function seedFromFile(directory: Directory, file: string): void {
  const parsed = seed.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  for (const [userId, user] of Object.entries(parsed.data.users)) {
    directory.addUser(userId, user.display_name ?? userId, '');
  }
  for (const [groupId, members] of Object.entries(parsed.data.groups)) {
    directory.putGroup(groupId);
    directory.setMembers(groupId, members);
  }
}
