/** The client's side of one HTTP/2 connection, whatever calls it carries. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { PREFACE, SETTING, settingsFrame } from '../../../src/http2/frames';
import { LARGE_WINDOW } from './frames';
import { LARGE_CONNECTION_WINDOW, Peer } from './peer';

const SETTINGS = settingsFrame([
  [SETTING.enablePush, 0],
  [SETTING.initialWindowSize, LARGE_WINDOW],
]);

export interface CallHandlers {
  /** Reads an answer; what it returns is given to `onDone`. Not negative. */
  readonly decode: (bytes: Buffer, start: number, end: number) => number;
  /** The call is over: with what `decode` made of the answer, or undefined if it ended without one. */
  readonly onDone: (tag: number, at: number, answer: number | undefined) => void;
  readonly onClosed: (error: Error) => void;
}

export abstract class ClientPeer extends Peer {
  private settle: () => void = () => undefined;
  private readonly settled = new Promise<void>((resolve) => (this.settle = resolve));

  /** `more` follows the preface and the settings. */
  protected constructor(
    socket: Socket,
    protected readonly handlers: CallHandlers,
    more: readonly Buffer[] = [],
  ) {
    super(socket, [PREFACE, SETTINGS, LARGE_CONNECTION_WINDOW, ...more]);
    socket.on('data', (chunk: Buffer) => {
      this.read(chunk);
      this.flush();
    });
    socket.on('error', (error) => handlers.onClosed(error));
    socket.on('close', () => handlers.onClosed(new Error('the connection was closed')));
  }

  /** Resolves once the peer has said how much it takes at once. */
  protected static async connected<C extends ClientPeer>(
    port: number,
    make: (socket: Socket) => C,
  ): Promise<C> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const client = make(socket);
    await client.settled;
    return client;
  }

  /** Hands what was put together to the socket. */
  abstract flush(): void;

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  protected override onSettings(settings: Iterable<[id: number, value: number]>): void {
    for (const [id, value] of settings) this.onSetting(id, value);
    this.settle();
  }

  protected abstract onSetting(id: number, value: number): void;

  protected override onGoAway(error: number): void {
    this.handlers.onClosed(new Error(`GOAWAY, error ${error}`));
  }
}
