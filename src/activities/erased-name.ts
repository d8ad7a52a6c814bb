/** What stands where an erased id stood and its place is still needed. */
import { sha256 } from '../domain/sha256';

/** The id cannot be read from it, but whoever has the id finds it. No id contains `/`. */
export function erasedName(msgId: string): string {
  return `erased/${sha256(msgId, 'hex')}`;
}
