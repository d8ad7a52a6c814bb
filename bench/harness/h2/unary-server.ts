/**
 * A unary gRPC server whose answer is always the same, for the benchmarks' gateway. It looks at the
 * request message only, never at the headers: the caller tells from the message what was asked.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import {
  FLAG,
  FRAME,
  frame,
  HEAD_BYTES,
  PREFACE,
  SETTING,
  settingsFrame,
} from '../../../src/http2/frames';
import { framed } from '../../../src/http2/grpc-message';
import { LARGE_WINDOW } from './frames';
import { ANSWER_HEADERS, OK_TRAILERS } from './hpack';
import { LARGE_CONNECTION_WINDOW, Peer } from './peer';

const SETTINGS = settingsFrame([[SETTING.initialWindowSize, LARGE_WINDOW]]);

export interface UnaryServerOptions {
  readonly answer: Buffer;
  readonly onMessage: (bytes: Buffer, start: number, end: number) => void;
  /** Whether requests are answered now. */
  readonly answers: () => boolean;
}

export class UnaryServer {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(options: UnaryServerOptions) {
    const answer = new AnswerFrames(options.answer);
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      // A client that is gone takes its requests with it; the client's side tells of it.
      socket.on('error', () => socket.destroy());
      new ServerConnection(socket, answer, options);
    });
  }

  async listen(port = 0): Promise<number> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** HEADERS, DATA and trailers of the one answer. */
class AnswerFrames {
  readonly dataBytes: number;
  private readonly bytes: Buffer;
  private readonly streamIdsAt: readonly number[];

  constructor(message: Buffer) {
    const data = framed(message);
    const frames = [
      frame(FRAME.headers, FLAG.endHeaders, 0, ANSWER_HEADERS),
      frame(FRAME.data, 0, 0, data),
      frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 0, OK_TRAILERS),
    ];
    this.bytes = Buffer.concat(frames);
    this.dataBytes = data.length;
    const ends = frames.map((_, i) => frames.slice(0, i).reduce((sum, f) => sum + f.length, 0));
    this.streamIdsAt = ends.map((at) => at + HEAD_BYTES - 4);
  }

  get length(): number {
    return this.bytes.length;
  }

  write(out: Buffer, at: number, streamId: number): number {
    this.bytes.copy(out, at);
    for (const position of this.streamIdsAt) out.writeUInt32BE(streamId, at + position);
    return at + this.bytes.length;
  }
}

class ServerConnection extends Peer {
  private prefaceLeft = PREFACE.length;
  /** Streams to be answered with the next write. */
  private due: number[] = [];

  constructor(
    socket: Socket,
    private readonly answer: AnswerFrames,
    private readonly options: UnaryServerOptions,
  ) {
    super(socket, [SETTINGS, LARGE_CONNECTION_WINDOW]);
    socket.on('data', (chunk: Buffer) => {
      const skipped = Math.min(this.prefaceLeft, chunk.length);
      this.prefaceLeft -= skipped;
      this.read(skipped > 0 ? chunk.subarray(skipped) : chunk);
      this.writeDue();
    });
  }

  protected override onMessage(_: number, bytes: Buffer, start: number, end: number): void {
    this.options.onMessage(bytes, start, end);
  }

  protected override onEnd(streamId: number): void {
    if (this.options.answers()) this.due.push(streamId);
  }

  // What a client says of itself holds up no answer but by its window.
  protected override onReset(): void {}
  protected override onSettings(): void {}
  protected override onWindow(): void {}
  protected override onGoAway(): void {}

  /** One write for all the requests that one read brought. */
  private writeDue(): void {
    const count = Math.min(this.due.length, Math.floor(this.sendWindow / this.answer.dataBytes));
    if (count === 0) return;
    const out = Buffer.allocUnsafe(count * this.answer.length);
    let at = 0;
    for (let i = 0; i < count; i++) at = this.answer.write(out, at, this.due[i] as number);
    this.sendWindow -= count * this.answer.dataBytes;
    this.due = this.due.slice(count);
    this.socket.write(out);
  }
}
