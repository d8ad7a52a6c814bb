/** A client that sends whatever frames a test wants, and notes those that come back. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import {
  call,
  decodeHeaders,
  DEFAULT_WINDOW,
  ERRORS,
  FLAG,
  FRAME,
  FrameReader,
  ping,
  PREFACE,
  readSettings,
  SETTING,
  settingsFrame,
} from './frames';
import type { Frame } from './frames';
import { afterwards } from './server';
import type { TestServer } from './server';

/** How long is waited for what must come, ms. */
const PATIENCE_MS = 15_000;

interface RawOptions {
  /** Besides a header table of size 0, without which we could not read answers. */
  readonly settings?: readonly (readonly [number, number])[];
  /** What is said first, if not the preface and the settings; then those of the server are not acknowledged. */
  readonly greeting?: Buffer;
  /** Whether it reads from the start. */
  readonly reads?: boolean;
}

/** An answer, as far as it has come. */
export interface RawAnswer {
  readonly status: string | undefined;
  readonly code: string | undefined;
  readonly details: string | undefined;
  readonly body: Buffer;
  readonly trailers: Record<string, string>;
  readonly headers: Record<string, string>;
}

export class RawClient {
  readonly frames: Frame[] = [];
  isClosed = false;
  /** What the socket said when it failed. */
  failed = '';
  private readonly reader = new FrameReader();
  private readonly looks = new Set<() => void>();
  private pings = 0;

  private constructor(
    readonly socket: Socket,
    private readonly acks: boolean,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.reader.read(chunk, (frame) => this.take(frame));
      this.look();
    });
    socket.on('error', (error) => (this.failed = error.message));
    socket.on('close', () => {
      this.isClosed = true;
      this.look();
    });
    afterwards(() => socket.destroy());
  }

  static async connect(to: Pick<TestServer, 'port'>, options: RawOptions = {}): Promise<RawClient> {
    const socket = connect(to.port, '127.0.0.1');
    const client = new RawClient(socket, options.greeting === undefined);
    if (options.reads === false) socket.pause();
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const settings = settingsFrame([[SETTING.headerTableSize, 0], ...(options.settings ?? [])]);
    client.send(options.greeting ?? Buffer.concat([PREFACE, settings]));
    return client;
  }

  send(...parts: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  /** Sends, and lets what was sent arrive by itself. */
  async sendApart(...parts: Buffer[]): Promise<void> {
    for (const part of parts) {
      if (this.socket.destroyed) return;
      await new Promise((resolve) => this.socket.write(part, resolve));
      for (let i = 0; i < 3; i++) await new Promise(setImmediate);
    }
  }

  /** Resolves with what `find` finds in what has come, now or later. */
  until<T>(what: string, find: () => T | undefined | false): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        try {
          const found = find();
          if (found !== undefined && found !== false) give(undefined, found);
          else if (this.isClosed) throw new Error(`closed ${this.failed} before ${what}`);
        } catch (error) {
          give(new Error(`${(error as Error).message}${this.story()}`));
        }
      };
      const give = (error: Error | undefined, found?: T): void => {
        clearTimeout(timer);
        this.looks.delete(look);
        if (error) reject(error);
        else resolve(found as T);
      };
      const timer = setTimeout(() => {
        give(new Error(`waited in vain for ${what}${this.story()}`));
      }, PATIENCE_MS);
      this.looks.add(look);
      look();
    });
  }

  frame(type: number, stream = 0): Promise<Frame> {
    return this.until(`frame ${type} of stream ${stream}`, () =>
      this.frames.find((frame) => frame.type === type && frame.stream === stream),
    );
  }

  /** Everything sent before has been read, and been answered where that takes no time. */
  async roundTrip(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      const payload = String(++this.pings).padStart(8, '0');
      this.send(ping(payload));
      await this.until(`ack of ping ${payload}`, () =>
        this.frames.some(
          (f) => f.type === FRAME.ping && f.flags & FLAG.ack && f.payload.toString() === payload,
        ),
      );
    }
  }

  closed(): Promise<true> {
    return this.until('the end of the connection', () => this.isClosed && true);
  }

  /** How the stream, or the connection, was ended: `RST_STREAM X`, `GOAWAY X`, `closed`, `answered X`. */
  async failure(stream = 0): Promise<string> {
    const how = await this.until(`the failure of stream ${stream}`, () => this.findFailure(stream));
    if (how.startsWith('GOAWAY')) await this.closed();
    return how;
  }

  /** The answer of a stream, when it has ended. */
  answer(stream: number): Promise<RawAnswer> {
    return this.until(`the answer of stream ${stream}`, () => {
      const failure = this.findFailure(stream);
      if (failure !== undefined && !failure.startsWith('answered')) {
        const reset = failure === 'RST_STREAM NO_ERROR';
        if (!reset || !this.hasEnded(stream)) throw new Error(`stream ${stream}: ${failure}`);
      }
      return this.hasEnded(stream) && this.answerOf(stream);
    });
  }

  /** Whether a call on this connection is answered as it should be. */
  async serves(stream: number): Promise<boolean> {
    this.send(call(stream, `as usual ${stream}`));
    const { body } = await this.answer(stream);
    return body.toString().endsWith(`as usual ${stream}`);
  }

  hasEnded(stream: number): boolean {
    return this.frames.some(
      (f) =>
        f.stream === stream &&
        (f.type === FRAME.headers || f.type === FRAME.data) &&
        f.flags & FLAG.endStream,
    );
  }

  answerOf(stream: number): RawAnswer {
    const lists = this.blocksOf(stream).map((b) => Object.fromEntries(decodeHeaders(b)));
    const [first = {}] = lists;
    const last = lists.at(-1) ?? {};
    return {
      status: first[':status'],
      code: last['grpc-status'],
      details: last['grpc-message'],
      body: this.bodyOf(stream),
      headers: first,
      trailers: last,
    };
  }

  bodyOf(stream: number): Buffer {
    const parts = this.frames.filter((f) => f.stream === stream && f.type === FRAME.data);
    return Buffer.concat(parts.map((f) => f.payload));
  }

  /** Bytes the server has allowed so far on a stream, or on the connection; what was sent not taken off. */
  allowed(stream: number): number {
    let bytes = DEFAULT_WINDOW;
    for (const { type, flags, stream: of, payload } of this.frames) {
      if (type === FRAME.windowUpdate && of === stream) bytes += payload.readUInt32BE();
      if (type !== FRAME.settings || flags & FLAG.ack || stream === 0) continue;
      for (const [id, value] of readSettings(payload)) {
        if (id === SETTING.initialWindowSize) bytes += value - DEFAULT_WINDOW;
      }
    }
    return bytes;
  }

  /** The frames of one kind so far. */
  count(type: number, stream?: number): number {
    return this.frames.filter(
      (f) => f.type === type && (stream === undefined || f.stream === stream),
    ).length;
  }

  private take(frame: Frame): void {
    this.frames.push({ ...frame, payload: Buffer.from(frame.payload) });
    const isAck = frame.flags & FLAG.ack;
    if (this.acks && frame.type === FRAME.settings && !isAck) {
      this.send(Buffer.from([0, 0, 0, FRAME.settings, FLAG.ack, 0, 0, 0, 0]));
    }
  }

  private look(): void {
    for (const look of this.looks) look();
  }

  private findFailure(stream: number): string | undefined {
    for (const { type, stream: of, payload } of this.frames) {
      if (type === FRAME.goaway) {
        const error = payload.readUInt32BE(4);
        // One that only says to begin nothing more is no failure of a stream.
        if (error > 0 || stream === 0) return `GOAWAY ${ERRORS[error]}`;
      }
      if (type === FRAME.rstStream && of === stream) {
        return `RST_STREAM ${ERRORS[payload.readUInt32BE()]}`;
      }
    }
    if (stream > 0 && this.hasEnded(stream)) {
      const { status, code } = this.answerOf(stream);
      return `answered ${code ?? status}`;
    }
    return this.isClosed ? 'closed' : undefined;
  }

  private blocksOf(stream: number): Buffer[] {
    const blocks: Buffer[] = [];
    for (const { type, stream: of, payload } of this.frames) {
      if (of !== stream) continue;
      if (type === FRAME.headers) blocks.push(payload);
      if (type === FRAME.continuation) {
        blocks.push(Buffer.concat([blocks.pop() ?? Buffer.alloc(0), payload]));
      }
    }
    return blocks;
  }

  private story(): string {
    const lines = this.frames.slice(-20).map(({ type, flags, stream, payload }) => {
      return `  type ${type} flags ${flags} stream ${stream}: ${payload.toString('hex', 0, 40)}`;
    });
    return `; of ${this.frames.length} frames, the last:\n${lines.join('\n')}`;
  }
}
