/** SETTINGS of both sides (RFC 9113, §6.5). */
import {
  DEFAULT_FRAME_SIZE,
  ERROR,
  FLAG,
  ProtocolError,
  readSettings,
  SETTING,
  settingsFrame,
} from '../../http2/frames';
import type { Frame } from '../../http2/frames';
import type { Outbox, Outgoing } from './outbox';
import { MAX_HEADER_LIST_BYTES } from './request-head';

const LARGEST_FRAME_SIZE = 0xff_ffff;

/** What a server says first. */
export function serverSettings(maxStreams: number): Buffer {
  return settingsFrame([
    [SETTING.maxConcurrentStreams, maxStreams],
    [SETTING.maxHeaderListSize, MAX_HEADER_LIST_BYTES],
  ]);
}

/** Does what a client's SETTINGS say; false when there is nothing to acknowledge. Throws {@link ProtocolError}. */
export function applySettings(
  { flags, stream, payload }: Frame,
  outbox: Outbox,
  open: () => readonly Outgoing[],
): boolean {
  if (stream !== 0) throw new ProtocolError('SETTINGS on a stream');
  if (flags & FLAG.ack) {
    if (payload.length > 0) throw new ProtocolError('settings in an ACK', ERROR.frameSize);
    return false;
  }
  for (const [id, value] of readSettings(payload)) {
    // Frames are never larger than the default, header blocks use no table, and nothing is pushed.
    if (id === SETTING.initialWindowSize) outbox.setStreamWindow(value, open());
    if (id === SETTING.enablePush && value > 1) throw new ProtocolError('ENABLE_PUSH of 0 or 1');
    if (id === SETTING.maxFrameSize) checkFrameSize(value);
  }
  return true;
}

function checkFrameSize(size: number): void {
  if (size >= DEFAULT_FRAME_SIZE && size <= LARGEST_FRAME_SIZE) return;
  throw new ProtocolError('MAX_FRAME_SIZE is out of range');
}
