/** gRPC messages out of the DATA of one stream (gRPC over HTTP/2, Length-Prefixed-Message). */
import { gunzipSync, inflateSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { PREFIX_BYTES } from '../../http2/grpc-message';
import { StatusError } from './status-error';

export class MessageReader {
  /** Of a message that is not whole yet. */
  private parts: Buffer[] = [];
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

  /** All that has come, once it makes a message: what comes in many pieces is put together once. */
  private withHeld(payload: Buffer): Buffer | undefined {
    if (this.bytes === 0) return payload;
    this.hold(payload);
    const first = this.parts[0] as Buffer;
    if (first.length < PREFIX_BYTES) this.parts = [Buffer.concat(this.parts)];
    const start = this.parts[0] as Buffer;
    if (start.length < PREFIX_BYTES) return undefined;
    if (this.bytes < PREFIX_BYTES + this.lengthAt(start, 0)) return undefined;
    const bytes = Buffer.concat(this.parts);
    this.parts = [];
    this.bytes = 0;
    return bytes;
  }

  private hold(payload: Buffer): void {
    this.parts.push(payload);
    this.bytes += payload.length;
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
