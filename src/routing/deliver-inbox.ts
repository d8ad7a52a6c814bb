/**
 * Pushes what waits for a user, one message after another in the order of the inbox, and marks each as
 * delivered. A message is pushed again only when the process dies, or MySQL stays away, between its
 * push and its mark; so few are ever unmarked, and marking is tried for long.
 */
import type { Presence } from '../activities/etcd/presence';
import type { Pusher } from '../activities/gateway/pusher';
import type { ErasedMessages } from '../activities/mysql/erased-messages';
import type { Mailbox } from '../activities/mysql/mailbox';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import { sleep } from '../activities/sleep';
import type { MessageStates } from '../activities/redis/message-states';
import type { ErasedView } from '../domain/erasure';
import type { InboxItem } from '../domain/inbox';
import type { PageOutcome, PageResult } from '../domain/delivery';
import { UNREADABLE_TYPE } from '../domain/encryption';
import type { OpenedMessage } from '../domain/encryption';
import { messageType } from '../domain/message';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { ContentKeys } from './content-keys';
import { DeliveryMarker } from './delivery-marker';
import { Turns } from '../activities/turns';

/** Messages of a page: what an activity holds in memory, about a MB. */
const PAGE_SIZE = 100;
/** Messages pushed and not yet marked: what a crash at the worst moment pushes twice. */
const MAX_UNMARKED = 4;
/** How long a message that was read is pushed without asking whether it was erased meanwhile, ms. */
const BELIEVED_MS = 500;
/** How often, and with which pause in ms, the registry is asked of a user before they count as gone. */
const PRESENCE_TRIES = 3;
const PRESENCE_PAUSE_MS = 300;
/** How long a page pushes, ms; slow gateways make it end early, with `more`. */
const PUSH_TIME_MS = 45_000;

export interface DeliverInboxDeps {
  readonly mailbox: Pick<
    Mailbox,
    'noteAppeared' | 'expire' | 'readPending' | 'pending' | 'markDelivered' | 'settle'
  >;
  readonly content: Pick<ContentKeys, 'open'>;
  readonly presence: Pick<Presence, 'lookup'>;
  readonly pusher: Pick<Pusher, 'push'>;
  readonly states: Pick<MessageStates, 'markDelivered'>;
  readonly counts: Pick<InboxCounts, 'set'>;
  readonly erased: Pick<ErasedMessages, 'among'>;
  readonly erasedUsers: Pick<ErasedView, 'has'>;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface OpenedItem extends InboxItem {
  readonly message: OpenedMessage;
}

export class InboxDelivery {
  private readonly turns = new Turns();

  constructor(private readonly deps: DeliverInboxDeps) {}

  /**
   * Delivers one page. Whatever was pushed is marked when it returns or throws. Stops between two
   * messages when `cancelled` is aborted, or when it has pushed for `pushMs`.
   */
  async deliverPage(
    userId: string,
    cancelled: AbortSignal,
    pushMs = PUSH_TIME_MS,
  ): Promise<PageResult> {
    // Temporal may have given up waiting for a page that goes on here, and ask for it again.
    const turn = this.turns.enter(userId);
    try {
      await turn.mine;
      return await this.deliverAlone(userId, cancelled, pushMs);
    } finally {
      turn.leave();
    }
  }

  private async deliverAlone(
    userId: string,
    cancelled: AbortSignal,
    pushMs: number,
  ): Promise<PageResult> {
    const { mailbox, erasedUsers, now } = this.deps;
    if (erasedUsers.has(userId) || !(await this.isPresent(userId))) {
      return { outcome: 'absent', delivered: 0, pending: (await mailbox.pending(userId)).total };
    }
    await mailbox.noteAppeared(userId, now());
    await mailbox.expire(userId, now());
    const items = await this.readPage(userId);
    const marker = new DeliveryMarker(userId, this.deps);
    let outcome: PageOutcome;
    try {
      outcome = await this.pushAll(userId, items, marker, cancelled, now() + pushMs);
    } finally {
      await marker.finish();
    }
    // What came meanwhile may have had nobody to tell.
    if (outcome === 'drained' && !(await mailbox.settle(userId))) outcome = 'more';
    const { rows, total } = await mailbox.pending(userId);
    await marker.noteCount(rows);
    return { outcome, delivered: marker.marked, pending: total };
  }

  /** Rejects when the keys of the page cannot be had; what is unreadable for good is among the items. */
  private async readPage(userId: string): Promise<OpenedItem[]> {
    const items = await this.deps.mailbox.readPending(userId, PAGE_SIZE, this.deps.now());
    const messages = await this.deps.content.open(items.map((item) => item.message));
    return items.map(({ position, stay }, i) => ({ position, stay, message: messages[i]! }));
  }

  private async pushAll(
    userId: string,
    items: readonly OpenedItem[],
    marker: DeliveryMarker,
    cancelled: AbortSignal,
    until: number,
  ): Promise<PageOutcome> {
    const { erasedUsers, now } = this.deps;
    let erased: ReadonlySet<string> = new Set();
    let asked = now();
    for (const item of items) {
      if (cancelled.aborted || now() > until) return 'more';
      if (erasedUsers.has(userId)) return 'absent';
      if (now() - asked > BELIEVED_MS) {
        erased = await this.deps.erased.among(items.map(({ message }) => message.msgId));
        asked = now();
      }
      if (erased.has(item.message.msgId)) continue;
      // Asked for each message, from memory mostly: devices come and go while a page is pushed.
      const { devices } = await this.deps.presence.lookup(userId);
      if (devices.length === 0) return 'absent';
      const message = erasedUsers.has(item.message.senderId)
        ? withoutContent(item.message)
        : item.message;
      const reached = await this.deps.pusher.push(pushedMessage(message, userId), devices);
      if (reached.length === 0) return (await this.isPresent(userId)) ? 'unreachable' : 'absent';
      marker.add({
        position: item.position,
        stay: item.stay,
        msgId: item.message.msgId,
        deliveredAt: now(),
        devices: reached,
      });
      await marker.belowUnmarked(MAX_UNMARKED);
    }
    return items.length < PAGE_SIZE ? 'drained' : 'more';
  }

  /** When the registry cannot say for a while, the user counts as gone: the sweep comes back to them. */
  private async isPresent(userId: string): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const { devices, certain } = await this.deps.presence.lookup(userId);
      if (devices.length > 0 || certain || tries === PRESENCE_TRIES) return devices.length > 0;
      await sleep(PRESENCE_PAUSE_MS);
    }
  }
}

/** As a message is left of a sender who was erased: its place is shown, and waits for nobody. */
function withoutContent(message: OpenedMessage): OpenedMessage {
  return { ...message, content: '', metadata: {}, unreadable: 'erased' };
}

function pushedMessage(message: OpenedMessage, recipientId: string): Parameters<Pusher['push']>[0] {
  return {
    msgId: message.msgId,
    recipientId,
    senderId: message.senderId,
    content: message.content,
    messageType: message.unreadable ? UNREADABLE_TYPE : messageType(message.metadata),
    sequenceNumber: message.sequenceNumber,
    timestamp: message.timestamp,
  };
}
