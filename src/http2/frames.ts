/** HTTP/2 frames (RFC 9113, §4 and §6): written one by one, read out of whatever chunks arrive. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

/** What a client says first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** RFC 9113, §6.5.2: what holds until the peer's settings say otherwise. */
export const DEFAULT_WINDOW = 65_535;
export const MAX_WINDOW = 0x7fff_ffff;
/** The largest id of a stream (§5.1.1). */
export const MAX_STREAM = 0x7fff_ffff;
export const DEFAULT_FRAME_SIZE = 16_384;
export const HEAD_BYTES = 9;

/** The peer broke the protocol: the connection is of no use any more. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';

  constructor(
    message: string,
    /** One of {@link ERROR}. */
    readonly code: number = ERROR.protocol,
  ) {
    super(message);
  }
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Without padding and priority. A view of the chunk that was read. */
  readonly payload: Buffer;
  /** Bytes that count for flow control. */
  readonly length: number;
}

/** Writes a frame's head at an offset; returns the offset behind it. */
export function writeHead(
  into: Buffer,
  at: number,
  [length, type, flags, stream]: readonly [number, number, number, number],
): number {
  into[at] = length >>> 16;
  into[at + 1] = length >>> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = stream >>> 24;
  into[at + 6] = stream >>> 16;
  into[at + 7] = stream >>> 8;
  into[at + 8] = stream;
  return at + HEAD_BYTES;
}

/** A whole frame. */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  payload.copy(bytes, writeHead(bytes, 0, [payload.length, type, flags, stream]));
  return bytes;
}

export const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0));

/** A frame whose payload is one number of 32 bits: WINDOW_UPDATE, RST_STREAM. */
export function numberFrame(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value);
  return frame(type, 0, stream, payload);
}

export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.allocUnsafe(settings.length * 6);
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(FRAME.settings, 0, 0, payload);
}

/** The settings of a SETTINGS frame. */
export function* readSettings(payload: Buffer): Generator<[number, number]> {
  if (payload.length % 6 !== 0)
    throw new ProtocolError('SETTINGS of a wrong length', ERROR.frameSize);
  for (let at = 0; at < payload.length; at += 6) {
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
  }
}

/** Cuts what arrives into frames. */
export class FrameReader {
  private rest: Buffer | undefined;

  /** Calls `take` with each frame that is complete now; throws {@link ProtocolError}. */
  read(chunk: Buffer, take: (frame: Frame) => void): void {
    const bytes = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      if (length > DEFAULT_FRAME_SIZE)
        throw new ProtocolError('a frame is too large', ERROR.frameSize);
      const end = at + HEAD_BYTES + length;
      if (end > bytes.length) break;
      const type = bytes.readUInt8(at + 3);
      const flags = bytes.readUInt8(at + 4);
      const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      const payload = stripped(type, flags, bytes.subarray(at + HEAD_BYTES, end));
      take({ type, flags, stream, payload, length });
      at = end;
    }
    this.rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }
}

/** A payload without padding and priority. */
function stripped(type: number, flags: number, payload: Buffer): Buffer {
  if (type !== FRAME.data && type !== FRAME.headers) return payload;
  let start = 0;
  let end = payload.length;
  if (flags & FLAG.padded) {
    start = 1;
    end -= payload[0] ?? 0;
  }
  if (type === FRAME.headers && flags & FLAG.priority) start += 5;
  if (start > end) throw new ProtocolError('more padding than payload');
  return start === 0 && end === payload.length ? payload : payload.subarray(start, end);
}
