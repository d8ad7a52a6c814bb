/**
 * What waits for a user in the logs of large groups, drawn into their inbox when a client pages through
 * it. So clients see one list in one order, with cursors that stay in place whatever comes meanwhile, and
 * only those who read pay: a page of rows for a page of messages, never a row for each member.
 */
import type { Database, Queryable } from './database';
import { erasedAmong } from './erased-messages';
import { raisePosition } from './group-readers';
import type { GroupUnread } from './group-unread';
import { insertPlaces, lockHeads, raiseHeads } from './message-store';

export class LogDraws {
  /** `ttlMs`: how long a message waits, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly unread: Pick<GroupUnread, 'readPending'>,
    private readonly options: { readonly ttlMs: number },
  ) {}

  /** Gives the next `limit` messages (a few hundred at most) rows after all others; returns how many. */
  async draw(userId: string, limit: number): Promise<number> {
    return this.db.transaction(async (tx) => {
      const heads = await lockHeads(tx, [userId]);
      // Whoever marks deliveries now waits, and finds the rows then; or was first, and is seen.
      await tx.select('SELECT position FROM group_memberships WHERE user_id = ? FOR UPDATE', [
        userId,
      ]);
      const items = await this.unread.readPending(userId, limit, tx);
      if (items.length === 0) return 0;
      const places = items.map(({ message }) => ({
        userId,
        msgId: message.msgId,
        expiresAt: message.acceptedAt + this.options.ttlMs,
      }));
      await raiseHeads(tx, await insertPlaces(tx, places, heads));
      await dropErased(tx, userId, places);
      for (const { stay, position } of items) await raisePosition(tx, userId, stay, position);
      return items.length;
    });
  }
}

/** Of messages whose deletion began after they were read from the log; see message-removal.ts. */
async function dropErased(
  tx: Queryable,
  userId: string,
  places: readonly { readonly msgId: string }[],
): Promise<void> {
  const erased = [
    ...(await erasedAmong(
      tx,
      places.map(({ msgId }) => msgId),
    )),
  ];
  if (erased.length === 0) return;
  await tx.execute('DELETE FROM inbox WHERE user_id = ? AND msg_id IN (?)', [userId, erased]);
  await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id = ?', [
    erased.length,
    userId,
  ]);
}
