/** SHA-256 of a text, in one step where Node can (from 20.12 on): without an object for each hash. */
import * as crypto from 'node:crypto';

const { hash } = crypto as { readonly hash?: typeof crypto.hash };

export function sha256(text: string, encoding: 'hex' | 'base64' | 'base64url'): string {
  if (hash) return hash('sha256', text, encoding);
  return crypto.createHash('sha256').update(text).digest(encoding);
}
