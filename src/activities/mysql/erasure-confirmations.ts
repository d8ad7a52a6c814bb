/** Second steps that users have yet to take to be erased: the token is in their hands, its hash here. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Queryable } from './database';

/** How long a token is good, ms: to read a dialog, not to be found later. */
const TOKEN_TTL_MS = 10 * 60_000;
const TOKEN_BYTES = 32;

export interface Confirmation {
  readonly token: string;
  /** unix ms */
  readonly expiresAt: number;
}

export class ErasureConfirmations {
  constructor(
    private readonly db: Queryable,
    private readonly now: () => number,
  ) {}

  /** A new token for the user; one from before is good no longer. */
  async issue(userId: string): Promise<Confirmation> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const expiresAt = this.now() + TOKEN_TTL_MS;
    await this.db.execute(
      `INSERT INTO erasure_confirmations (user_id, token_hash, expires_at) VALUES (?, ?, ?)
       ON DUPLICATE KEY UPDATE token_hash = VALUES(token_hash), expires_at = VALUES(expires_at)`,
      [userId, hashOf(token), expiresAt],
    );
    return { token, expiresAt };
  }

  /** Whether the token is this user's and still good. */
  async isGood(userId: string, token: string): Promise<boolean> {
    const [row] = await this.db.select<{ token_hash: Buffer }>(
      'SELECT token_hash FROM erasure_confirmations WHERE user_id = ? AND expires_at > ?',
      [userId, this.now()],
    );
    return row !== undefined && timingSafeEqual(row.token_hash, hashOf(token));
  }

  /** The user took the second step. */
  async remove(userId: string): Promise<void> {
    await this.db.execute('DELETE FROM erasure_confirmations WHERE user_id = ?', [userId]);
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
