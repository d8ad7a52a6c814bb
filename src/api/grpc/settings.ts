/** SETTINGS of both sides (RFC 9113, §6.5). */
import {
  DEFAULT_FRAME_SIZE,
  ERROR,
  MAX_WINDOW,
  ProtocolError,
  readSettings,
  SETTING,
  settingsFrame,
} from '../../http2/frames';
import { MAX_HEADER_LIST_BYTES } from '../../http2/header-frames';

const LARGEST_FRAME_SIZE = 0xff_ffff;

/** What a server says first. */
export function serverSettings(maxStreams: number): Buffer {
  return settingsFrame([
    [SETTING.maxConcurrentStreams, maxStreams],
    [SETTING.maxHeaderListSize, MAX_HEADER_LIST_BYTES],
  ]);
}

/** The last that a client's SETTINGS say of new streams' windows, if they do; throws {@link ProtocolError}. */
export function initialWindow(payload: Buffer): number | undefined {
  let window: number | undefined;
  for (const [id, value] of readSettings(payload)) {
    // Frames are never larger than the default, header blocks use no table, and nothing is pushed.
    if (id === SETTING.initialWindowSize) window = value;
    if (id === SETTING.enablePush && value > 1) throw new ProtocolError('ENABLE_PUSH of 0 or 1');
    if (id === SETTING.maxFrameSize) checkFrameSize(value);
    if ((window ?? 0) > MAX_WINDOW) {
      throw new ProtocolError('a window is too large', ERROR.flowControl);
    }
  }
  return window;
}

function checkFrameSize(size: number): void {
  if (size >= DEFAULT_FRAME_SIZE && size <= LARGEST_FRAME_SIZE) return;
  throw new ProtocolError('MAX_FRAME_SIZE is out of range');
}
