/** What stands where an erased id stood and its place is still needed. */
import { createHash } from 'node:crypto';

/** The id cannot be read from it, but whoever has the id finds it. No id contains `/`. */
export function erasedName(msgId: string): string {
  return `erased/${createHash('sha256').update(msgId).digest('hex')}`;
}
