/** Gathers the frames of one turn of the event loop, to leave in one write. */
import type { Socket } from 'node:net';
import { HEAD_BYTES, writeHead } from './frames';

/** What is gathered at most before it leaves early, bytes; a larger frame makes its own room. */
const BLOCK_BYTES = 32_768;

export class FrameWriter {
  private block = Buffer.allocUnsafe(BLOCK_BYTES);
  private end = 0;
  private scheduled = false;

  constructor(private readonly socket: Socket) {}

  /** Bytes that are frames already. */
  write(bytes: Buffer): void {
    const at = this.reserve(bytes.length);
    bytes.copy(this.block, at);
  }

  /** A frame of so many bytes (`head[0]`) of `payload`, from an offset. */
  frame(
    head: readonly [length: number, type: number, flags: number, stream: number],
    payload: Buffer,
    from: number,
  ): void {
    const at = this.reserve(HEAD_BYTES + head[0]);
    payload.copy(this.block, writeHead(this.block, at, head), from, from + head[0]);
  }

  /** Room for so many bytes at the offset it returns. */
  private reserve(bytes: number): number {
    if (this.end + bytes > this.block.length) {
      this.flush();
      this.block = Buffer.allocUnsafe(Math.max(BLOCK_BYTES, bytes));
    }
    if (!this.scheduled) {
      this.scheduled = true;
      process.nextTick(() => {
        this.scheduled = false;
        this.flush();
      });
    }
    const at = this.end;
    this.end += bytes;
    return at;
  }

  /** Sends what is gathered now. */
  flush(): void {
    if (this.end === 0) return;
    // What is being written must not be written over.
    const written = this.block.subarray(0, this.end);
    this.block = this.block.subarray(this.end);
    this.end = 0;
    if (!this.socket.destroyed) this.socket.write(written);
  }
}
