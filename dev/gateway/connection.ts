/**
 * One person's device on a WebSocket.
 *
 * A write into a socket whose other end has just gone succeeds, so a write is no proof of anything. Behind
 * messages that must not be lost goes a ping; the WebSocket protocol makes every client answer it, in order,
 * so its pong says that what was sent before it has arrived. One ping is under way at a time and stands for
 * all before it: clients cut a peer that floods them with pings.
 */
import { WebSocket } from 'ws';

/** Bytes that may wait for a slow client before it is cut off: its messages then go to the inbox. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Twice this without a word and the device counts as gone. */
const HEARTBEAT_MS = 15_000;

interface Waiting {
  frame: number;
  settle: (arrived: boolean) => void;
}

export class Connection {
  /** Frames whose arrival somebody wants to know of, counted from 1. */
  private frames = 0;
  private waiting: Waiting[] = [];
  /** How many frames the ping that is under way stands for. */
  private pinged: number | undefined;
  private alive = true;
  private readonly heartbeat: NodeJS.Timeout;

  constructor(
    readonly userId: string,
    readonly deviceId: string,
    private readonly socket: WebSocket,
  ) {
    socket.on('pong', () => this.onPong());
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
  deliver(content: object, withinMs: number): Promise<boolean> {
    if (!this.send(content)) return Promise.resolve(false);
    this.frames += 1;
    const frame = this.frames;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.settle([waiting], false), withinMs);
      const waiting: Waiting = {
        frame,
        settle: (arrived) => {
          clearTimeout(timer);
          resolve(arrived);
        },
      };
      this.waiting.push(waiting);
      this.ping();
    });
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  private ping(): void {
    if (this.pinged !== undefined) return;
    this.pinged = this.frames;
    this.socket.ping();
  }

  private onPong(): void {
    this.alive = true;
    const arrived = this.pinged;
    if (arrived === undefined) return; // nobody asked for it
    this.pinged = undefined;
    this.settle(
      this.waiting.filter(({ frame }) => frame <= arrived),
      true,
    );
    if (this.waiting.length > 0) this.ping();
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
    this.ping();
  }
}
