/** gRPC messages out of the DATA of one stream (gRPC over HTTP/2, Length-Prefixed-Message). */
import { gunzipSync, inflateSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { PREFIX_BYTES } from '../../http2/grpc-message';
import { StatusError } from './status-error';

const NONE = Buffer.alloc(0);

export class MessageReader {
  /** What there is of a message that is not whole yet, in its first {@link held} bytes. */
  private pending = NONE;
  private bytes = 0;

  constructor(
    private readonly encoding: string,
    private readonly maxBytes: number,
  ) {}

  /** Bytes of a message that is not whole yet. */
  get held(): number {
    return this.bytes;
  }

  /** The messages that are whole now, mostly one; throws {@link StatusError}. */
  read(payload: Buffer): Buffer[] {
    const bytes = this.withHeld(payload);
    if (!bytes) return [];
    const messages: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + this.lengthAt(bytes, at);
      if (end > bytes.length) break;
      const message = bytes.subarray(at + PREFIX_BYTES, end);
      messages.push(bytes[at] === 0 ? message : this.unpacked(message));
      at = end;
    }
    if (at < bytes.length) this.hold(bytes.subarray(at));
    return messages;
  }

  /** All that has come, once it makes a message. */
  private withHeld(payload: Buffer): Buffer | undefined {
    if (this.bytes === 0) return payload;
    this.hold(payload);
    if (this.bytes < PREFIX_BYTES) return undefined;
    if (this.bytes < PREFIX_BYTES + this.lengthAt(this.pending, 0)) return undefined;
    const whole = this.pending.subarray(0, this.bytes);
    this.pending = NONE;
    this.bytes = 0;
    return whole;
  }

  /** A copy, in one piece: a view would keep the whole chunk it came in, a list an object for each byte. */
  private hold(payload: Buffer): void {
    const needed = this.bytes + payload.length;
    if (needed > this.pending.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.pending.length));
      this.pending.copy(larger, 0, 0, this.bytes);
      this.pending = larger;
    }
    payload.copy(this.pending, this.bytes);
    this.bytes = needed;
  }

  private lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at + 1);
    if (length <= this.maxBytes) return length;
    throw new StatusError(
      status.RESOURCE_EXHAUSTED,
      `Received message larger than max (${length} vs ${this.maxBytes})`,
    );
  }

  private unpacked(message: Buffer): Buffer {
    const unpack = this.encoding === 'gzip' ? gunzipSync : inflateSync;
    if (this.encoding !== 'gzip' && this.encoding !== 'deflate') {
      throw new StatusError(
        this.encoding === 'identity' ? status.INTERNAL : status.UNIMPLEMENTED,
        `Received message compressed with unsupported encoding "${this.encoding}"`,
      );
    }
    try {
      return unpack(message, { maxOutputLength: this.maxBytes });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        const details = `Received message that decompresses to a size larger than ${this.maxBytes}`;
        throw new StatusError(status.RESOURCE_EXHAUSTED, details);
      }
      throw new StatusError(status.INTERNAL, 'Failed to decompress message');
    }
  }
}
