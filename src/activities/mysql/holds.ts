/**
 * Legal holds in MySQL. Whatever destroys messages asks {@link Holds.active} right before it does.
 *
 * A hold on a user covers what they sent and what was sent to them. Of a group nobody writes down who
 * was pushed a message, so it covers every group in which the service has seen them: they sent or
 * read there, something waited for them, or they are a member of a large one.
 */
import { HoldScope } from '../../domain/holds';
import type { HoldKind, LegalHold } from '../../domain/holds';
import { appendAudit } from './audit-log';
import type { Database, Queryable } from './database';

const COLUMNS = `id, hold_id AS holdId, kind, subject, reason, placed_by AS placedBy,
  placed_at AS placedAt, released_by AS releasedBy, released_at AS releasedAt`;

export interface NewHold {
  readonly holdId: string;
  readonly kind: HoldKind;
  readonly subject: string;
  readonly reason: string;
  readonly placedBy: string;
}

export class Holds {
  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {}

  /** Places a hold and says so in the audit log. In force from the moment this resolves. */
  async place({ holdId, kind, subject, reason, placedBy }: NewHold): Promise<LegalHold> {
    return this.db.transaction(async (tx) => {
      await tx.execute(
        `INSERT INTO legal_holds (hold_id, kind, subject, reason, placed_by, placed_at)
         VALUES (?, ?, ?, ?, ?, ?)`,
        [holdId, kind, subject, reason, placedBy, this.now()],
      );
      const hold = await find(tx, holdId);
      if (!hold) throw new Error('a hold just placed is not there');
      await this.audit(tx, hold, placedBy, 'placed');
      return hold;
    });
  }

  /** Ends a hold; one that has ended stays as it is. `undefined`: there is none of this id. */
  async release(holdId: string, releasedBy: string): Promise<LegalHold | undefined> {
    return this.db.transaction(async (tx) => {
      const { affectedRows } = await tx.execute(
        `UPDATE legal_holds SET released_by = ?, released_at = ?
         WHERE hold_id = ? AND released_at = 0`,
        [releasedBy, this.now(), holdId],
      );
      const hold = await find(tx, holdId);
      if (hold && affectedRows > 0) await this.audit(tx, hold, releasedBy, 'released');
      return hold;
    });
  }

  find(holdId: string): Promise<LegalHold | undefined> {
    return find(this.db, holdId);
  }

  /** The newest first, those before the hold `beforeId`; released ones only if asked for. */
  async list(
    beforeId: number,
    limit: number,
    { released }: { readonly released: boolean },
  ): Promise<LegalHold[]> {
    return this.db.select<LegalHold>(
      `SELECT ${COLUMNS} FROM legal_holds WHERE id < ? ${released ? '' : 'AND released_at = 0'}
       ORDER BY id DESC LIMIT ?`,
      [beforeId, limit],
    );
  }

  /** Everything that is held now. */
  async active(): Promise<HoldScope> {
    const holds = await this.db.select<{ kind: HoldKind; subject: string }>(
      'SELECT DISTINCT kind, subject FROM legal_holds WHERE released_at = 0',
    );
    const held = (kind: HoldKind): string[] =>
      holds.filter((hold) => hold.kind === kind).map(({ subject }) => subject);
    const users = held('user');
    const groups = new Set(held('group'));
    for (const userId of users) {
      for (const groupId of await this.groupsOf(userId)) groups.add(groupId);
    }
    return new HoldScope(new Set(users), new Set(held('private')), groups);
  }

  /** Whether any of the user's messages is held, or they are themselves. */
  async onUser(userId: string): Promise<boolean> {
    const scope = await this.active();
    if (scope.isEmpty) return false;
    if (scope.coversUser(userId)) return true;
    const places = await this.db.select<{ type: 'private' | 'group'; key: string }>(
      `SELECT DISTINCT conversation_type AS type, conversation_key AS \`key\`
       FROM messages WHERE sender_id = ?
       UNION
       SELECT DISTINCT conversation_type, conversation_key FROM messages WHERE recipient_id = ?
       UNION
       SELECT 'group', group_id FROM group_reads WHERE user_id = ?`,
      [userId, userId, userId],
    );
    return places.some((place) => scope.coversConversation(place));
  }

  private async audit(
    tx: Queryable,
    { holdId, kind, subject }: LegalHold,
    actor: string,
    outcome: 'placed' | 'released',
  ): Promise<void> {
    const event = {
      actor,
      action: 'legal.hold',
      subjectKind: kind === 'user' ? ('user' as const) : ('conversation' as const),
      subjectId: subject,
      outcome,
      details: { hold_id: holdId, kind },
      entryKey: `${holdId}/${outcome}`,
    };
    await appendAudit(tx, event, this.now());
  }

  /** The groups in which the service has seen a user; see the file's head. */
  private async groupsOf(userId: string): Promise<string[]> {
    const rows = await this.db.select<{ groupId: string }>(
      `SELECT group_id AS groupId FROM group_reads WHERE user_id = ?
       UNION
       SELECT group_id FROM group_memberships WHERE user_id = ?
       UNION
       SELECT conversation_key FROM messages WHERE sender_id = ? AND conversation_type = 'group'
       UNION
       SELECT m.conversation_key FROM inbox i JOIN messages m ON m.msg_id = i.msg_id
       WHERE i.user_id = ? AND m.conversation_type = 'group'`,
      [userId, userId, userId, userId],
    );
    return rows.map((row) => row.groupId);
  }
}

async function find(on: Queryable, holdId: string): Promise<LegalHold | undefined> {
  const [hold] = await on.select<LegalHold>(
    `SELECT ${COLUMNS} FROM legal_holds WHERE hold_id = ?`,
    [holdId],
  );
  return hold;
}
