/** Legal holds: whose messages, and which conversations, may not be destroyed. Times are unix ms. */
import type { Conversation } from './ids';
import { privateConversation, usersOf } from './ids';

export type HoldKind = 'user' | 'private' | 'group';

export interface LegalHold {
  readonly id: number;
  readonly holdId: string;
  readonly kind: HoldKind;
  /** A user id, the key of a private conversation, or a group id. */
  readonly subject: string;
  readonly reason: string;
  readonly placedBy: string;
  readonly placedAt: number;
  readonly releasedBy: string | null;
  /** 0 while it holds. */
  readonly releasedAt: number;
}

/** Where a message stands; all that a hold asks of it. */
export interface HoldPlace {
  readonly senderId: string;
  readonly conversation: Pick<Conversation, 'type' | 'key'>;
}

/** All holds that are in force, as one question. */
export class HoldScope {
  constructor(
    private readonly users: ReadonlySet<string>,
    /** Keys of private conversations. */
    private readonly privates: ReadonlySet<string>,
    /** Held themselves, or because a held user was seen in them. */
    private readonly groups: ReadonlySet<string>,
  ) {}

  /** Nothing is held. */
  get isEmpty(): boolean {
    return this.users.size + this.privates.size + this.groups.size === 0;
  }

  coversUser(userId: string): boolean {
    return this.users.has(userId);
  }

  coversConversation(conversation: Pick<Conversation, 'type' | 'key'>): boolean {
    if (conversation.type === 'group') return this.groups.has(conversation.key);
    return (
      this.privates.has(conversation.key) ||
      usersOf(conversation).some((userId) => this.users.has(userId))
    );
  }

  /** The keys of the private conversations that are held if `userId` has them. */
  privateKeysOf(userId: string): string[] {
    const own = [...this.privates].filter((key) =>
      usersOf({ type: 'private', key }).includes(userId),
    );
    const withHeld = [...this.users].map((other) => privateConversation(userId, other).key);
    return [...own, ...withHeld];
  }

  covers({ senderId, conversation }: HoldPlace): boolean {
    return this.users.has(senderId) || this.coversConversation(conversation);
  }
}
