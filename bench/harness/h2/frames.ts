/**
 * What the frames of unary and streaming gRPC calls between a generator and a server are read with, and
 * written besides those of the gateways' client. Nothing is allocated for a frame: on a small machine the
 * generator must cost a fraction of the server.
 */

import { FLAG, FRAME, HEAD_BYTES, numberFrame } from '../../../src/http2/frames';
import { PREFIX_BYTES } from '../../../src/http2/grpc-message';

/** The window we give each stream, and the connection: so large that it never holds a peer up. */
export const LARGE_WINDOW = 0x3fff_ffff;
/** Received bytes after which the connection's window is topped up. */
export const TOP_UP_BYTES = 0x1000_0000;

/** `bytes` is valid from `start` to `end`, during the call only. */
export type OnFrame = (
  type: number,
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void;

/** Cuts what a socket delivers into frames. */
export class FrameReader {
  private rest: Buffer | undefined;

  constructor(private readonly onFrame: OnFrame) {}

  read(chunk: Buffer): void {
    const bytes = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const type = bytes[at + 3] as number;
      const flags = bytes[at + 4] as number;
      const streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
      this.onFrame(type, flags, streamId, bytes, at + HEAD_BYTES, end);
      at = end;
    }
    this.rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }
}

export function windowUpdate(streamId: number, increment: number): Buffer {
  return numberFrame(FRAME.windowUpdate, streamId, increment);
}

/**
 * Puts the gRPC messages of DATA frames together. Almost always a frame is one message, and nothing
 * is copied; the rest is kept by stream until it is whole.
 */
export class MessageReader {
  private readonly partial = new Map<number, Buffer>();

  constructor(
    private readonly onMessage: (
      streamId: number,
      bytes: Buffer,
      start: number,
      end: number,
    ) => void,
  ) {}

  read(streamId: number, flags: number, bytes: Buffer, start: number, end: number): void {
    if (flags & FLAG.padded) {
      end -= bytes[start] as number;
      start += 1;
    }
    const kept = this.partial.size > 0 ? this.partial.get(streamId) : undefined;
    if (kept) {
      bytes = Buffer.concat([kept, bytes.subarray(start, end)]);
      start = 0;
      end = bytes.length;
      this.partial.delete(streamId);
    }
    while (end - start >= PREFIX_BYTES) {
      const messageEnd = start + PREFIX_BYTES + bytes.readUInt32BE(start + 1);
      if (messageEnd > end) break;
      this.onMessage(streamId, bytes, start + PREFIX_BYTES, messageEnd);
      start = messageEnd;
    }
    if (start < end) this.partial.set(streamId, Buffer.from(bytes.subarray(start, end)));
  }

  forget(streamId: number): void {
    if (this.partial.size > 0) this.partial.delete(streamId);
  }
}
