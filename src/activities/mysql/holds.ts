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
import { chunks } from './chunks';
import type { Database, Queryable } from './database';
import { Sightings } from './sightings';
import type { Marks } from './sightings';

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
  private readonly sightings: Sightings;
  /** Of held users. What is held is not destroyed: what was seen once stays true. */
  private readonly seen = new Map<string, { groups: Set<string>; marks: Marks }>();

  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {
    this.sightings = new Sightings(db);
  }

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

  /** Everything that is held now. A held user's first time goes through all that they sent or read. */
  async active(signal?: AbortSignal): Promise<HoldScope> {
    const holds = await this.db.select<{ kind: HoldKind; subject: string }>(
      'SELECT DISTINCT kind, subject FROM legal_holds WHERE released_at = 0',
    );
    const held = (kind: HoldKind): string[] =>
      holds.filter((hold) => hold.kind === kind).map(({ subject }) => subject);
    const users = new Set(held('user'));
    for (const userId of this.seen.keys()) if (!users.has(userId)) this.seen.delete(userId);
    const groups = new Set(held('group'));
    for (const userId of users) {
      for (const groupId of await this.groupsOf(userId, signal)) groups.add(groupId);
    }
    return new HoldScope(users, new Set(held('private')), groups);
  }

  /** Whether any of the user's conversations is held, or they are themselves. */
  async onUser(userId: string, signal?: AbortSignal): Promise<boolean> {
    const scope = await this.active(signal);
    if (scope.isEmpty) return false;
    if (scope.coversUser(userId)) return true;
    if (await this.isAnyThere(scope.privateKeysOf(userId))) return true;
    for await (const places of this.sightings.of(userId, [], signal)) {
      if (places.some((place) => scope.coversConversation(place))) return true;
    }
    return false;
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

  /** The groups in which the service has seen a held user; see the file's head. */
  private async groupsOf(userId: string, signal?: AbortSignal): Promise<ReadonlySet<string>> {
    const { groups, marks } = this.seen.get(userId) ?? { groups: new Set(), marks: [] };
    this.seen.set(userId, { groups, marks });
    for await (const places of this.sightings.of(userId, marks, signal)) {
      for (const { type, key } of places) if (type === 'group') groups.add(key);
    }
    return groups;
  }

  /** Whether there is a message of any of these private conversations. */
  private async isAnyThere(keys: readonly string[]): Promise<boolean> {
    for (const piece of chunks(keys)) {
      const rows = await this.db.select(
        `SELECT 1 FROM messages WHERE conversation_type = 'private' AND conversation_key IN (?)
         LIMIT 1`,
        [piece],
      );
      if (rows.length > 0) return true;
    }
    return false;
  }
}

async function find(on: Queryable, holdId: string): Promise<LegalHold | undefined> {
  const [hold] = await on.select<LegalHold>(
    `SELECT ${COLUMNS} FROM legal_holds WHERE hold_id = ?`,
    [holdId],
  );
  return hold;
}
