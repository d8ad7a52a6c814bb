/** Ids of a test's own: tests share the servers and are kept apart by ids. */
import { randomBytes } from 'node:crypto';

/** An id that no other test and no other run uses. */
export function unique(name: string): string {
  return `${name}-${randomBytes(6).toString('hex')}`;
}
