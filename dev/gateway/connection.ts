/**
 * One person's device on a WebSocket.
 *
 * A write into a socket whose other end has just gone succeeds, so a write is no proof of anything. Behind
 * each message that must not be lost goes a ping; the WebSocket protocol makes every client answer it, in
 * order, so its pong says that the message before it has arrived.
 */
import { WebSocket } from 'ws';

/** Bytes that may wait for a slow client before it is cut off: its messages then go to the inbox. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Twice this without a word and the device counts as gone. */
const HEARTBEAT_MS = 15_000;

interface Waiting {
  ping: number;
  settle: (arrived: boolean) => void;
}

export class Connection {
  private pings = 0;
  private waiting: Waiting[] = [];
  private alive = true;
  private readonly heartbeat: NodeJS.Timeout;

  constructor(
    readonly userId: string,
    readonly deviceId: string,
    private readonly socket: WebSocket,
  ) {
    socket.on('pong', (data) => this.onPong(Number(data.toString())));
    socket.on('message', () => (this.alive = true));
    socket.on('close', () => this.onClose());
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT_MS);
  }

  /** Hands a frame to the socket; false when there is nobody to hand it to. */
  send(frame: object): boolean {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    if (this.socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      this.socket.terminate();
      return false;
    }
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Sends a frame and resolves with whether the device has confirmed it within the time. */
  deliver(frame: object, withinMs: number): Promise<boolean> {
    if (!this.send(frame)) return Promise.resolve(false);
    this.pings += 1;
    const ping = this.pings;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.settle([waiting], false), withinMs);
      const waiting: Waiting = {
        ping,
        settle: (arrived) => {
          clearTimeout(timer);
          resolve(arrived);
        },
      };
      this.waiting.push(waiting);
      this.socket.ping(String(ping));
    });
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  private onPong(ping: number): void {
    this.alive = true;
    // A client may answer only the latest of several pings (RFC 6455, 5.5.3); it stands for those before.
    this.settle(
      this.waiting.filter((waiting) => waiting.ping <= ping),
      true,
    );
  }

  private onClose(): void {
    clearInterval(this.heartbeat);
    this.settle(this.waiting, false);
  }

  private settle(settled: Waiting[], arrived: boolean): void {
    this.waiting = this.waiting.filter((waiting) => !settled.includes(waiting));
    for (const waiting of settled) waiting.settle(arrived);
  }

  private beat(): void {
    if (!this.alive) {
      this.socket.terminate();
      return;
    }
    this.alive = false;
    this.socket.ping('0'); // confirms nothing: deliveries count from 1
  }
}
