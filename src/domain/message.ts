/** The message as it goes through the service. */
import type { Conversation } from './ids';

/** A request that passed validation. Times are unix ms. */
export interface Message {
  readonly msgId: string;
  readonly senderId: string;
  readonly conversation: Conversation;
  /** Of a private message; `undefined` in a group. */
  readonly recipientId?: string;
  readonly content: string;
  readonly timestamp: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What `content` is: text as its reader sees it, or a JWE that `ContentKeys.open` opens. */
export type ContentEncoding = 'plain' | 'jwe';

/** A message with its place in the conversation and the moment we took it. */
export interface SequencedMessage extends Message {
  /** Plain unless said. */
  readonly encoding?: ContentEncoding;
  /** Its sender was erased, and its content with them. */
  readonly erased?: true;
  readonly sequenceNumber: number;
  readonly acceptedAt: number;
}

/**
 * A valid message with its number. What is made of each message is written out, field by field: what
 * `{ ...message, more }` makes has a hidden class of its own each time in Node 20 (bench/NOTES.md).
 */
export function sequenced<R extends string | undefined>(
  message: Message,
  recipientId: R,
  sequenceNumber: number,
  acceptedAt: number,
): SequencedMessage & { readonly recipientId: R } {
  return {
    msgId: message.msgId,
    senderId: message.senderId,
    conversation: message.conversation,
    recipientId,
    content: message.content,
    encoding: undefined,
    timestamp: message.timestamp,
    metadata: message.metadata,
    sequenceNumber,
    acceptedAt,
    erased: undefined,
  };
}

/** The message with this content, which is plain unless said. */
export function withContent<R extends string | undefined>(
  message: SequencedMessage & { readonly recipientId?: R },
  content: string,
  encoding?: ContentEncoding,
): SequencedMessage & { readonly recipientId: R } {
  return {
    msgId: message.msgId,
    senderId: message.senderId,
    conversation: message.conversation,
    recipientId: message.recipientId as R,
    content,
    encoding,
    timestamp: message.timestamp,
    metadata: message.metadata,
    sequenceNumber: message.sequenceNumber,
    acceptedAt: message.acceptedAt,
    erased: message.erased,
  };
}

/** What `message_type` tells a gateway: the sender's `content_type`, else plain text. */
export function messageType(metadata: Readonly<Record<string, string>>): string {
  return metadata['content_type'] || 'text/plain';
}

/** The metadata that {@link messageType} reads a type from. */
export function metadataOfType(type: string): Record<string, string> {
  return type === 'text/plain' ? {} : { content_type: type };
}

/** The spec's `status` of a routed private message. */
export type PrivateStatus = 'delivered' | 'offline' | 'failed';
/** The spec's `status` of a routed group message. */
export type GroupStatus = 'published' | 'failed';

/** The spec's GetMessageStatus answer. Times are unix ms, 0 when it has not happened. */
export interface MessageStatus {
  readonly status: 'pending' | 'delivered' | 'read' | 'failed';
  readonly deliveredAt: number;
  readonly readAt: number;
  readonly deliveredDevices: readonly string[];
}

/** A device of a user and the gateway that holds it, from the registry. */
export interface Device {
  readonly deviceId: string;
  /** host:port */
  readonly gateway: string;
  /** unix seconds, as the gateway wrote it */
  readonly connectedAt: number;
}
