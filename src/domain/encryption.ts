/** Content as it is stored: in clear, or as a ciphertext that belongs to one message. */
import type { SequencedMessage } from './message';
import { sha256 } from './sha256';

/** Why the content of a stored message cannot be read. */
export type Unreadable =
  /** The key it was encrypted under is gone. */
  | 'keyless'
  /** It is not what was encrypted for this message. */
  | 'tampered'
  /** Its sender was erased. */
  | 'erased';

/** A message with its content in clear; '' when it is unreadable. Never a ciphertext. */
export type OpenedMessage = SequencedMessage & {
  readonly encoding: 'plain';
  readonly unreadable?: Unreadable;
};

/** `message_type` of a push whose message cannot be read; its content is empty. */
export const UNREADABLE_TYPE = 'application/vnd.im.unreadable';

/** What a ciphertext is bound to, so that it opens in no other place. */
export type Place = Pick<SequencedMessage, 'msgId' | 'conversation' | 'senderId'>;

/** The place as 43 characters; two places never have the same. */
export function bindingOf({ msgId, conversation, senderId }: Place): string {
  const place = JSON.stringify([msgId, conversation.type, conversation.key, senderId]);
  return sha256(place, 'base64url');
}
