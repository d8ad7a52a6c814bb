/** A person with one device at the development gateway. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { within } from '../common/wait';

/** What the gateway sends: pushes, answers, and notices, told apart by `type`. */
export interface Frame {
  type: string;
  msg_id?: string;
  content?: string;
  sequence_number?: number;
  success?: boolean;
  status?: string;
  error_message?: string;
  member_count?: number;
  /** The gRPC status by name, when IM Service did not answer in-band. */
  grpc_status?: string;
}

interface Waiter {
  passes: (frame: Frame) => boolean;
  resolve: (frame: Frame) => void;
}

const CONNECT_MS = 10_000;
const ANSWER_MS = 15_000;

export class Person {
  private readonly frames: Frame[] = [];
  private waiters: Waiter[] = [];

  private constructor(
    readonly name: string,
    private readonly socket: WebSocket,
  ) {
    socket.on('message', (data: Buffer) => this.onFrame(JSON.parse(data.toString()) as Frame));
  }

  /** Connects and waits until the registry shows the device. */
  static async connect(gatewayUrl: string, name: string, device = 'phone'): Promise<Person> {
    const query = new URLSearchParams({ user: name, device }).toString();
    const socket = new WebSocket(`${gatewayUrl.replace('http', 'ws')}/?${query}`, {
      handshakeTimeout: CONNECT_MS,
    });
    const person = new Person(name, socket);
    await once(socket, 'open');
    await person.frame(CONNECT_MS, 'being registered', ({ type }) => type === 'present');
    return person;
  }

  /** Sends a message and resolves with IM Service's answer to it. */
  async send(target: { to: string } | { group: string }, content: string): Promise<Frame> {
    const msg_id = `msg_${this.name}_${Date.now()}_${randomUUID().slice(0, 8)}`;
    this.socket.send(JSON.stringify({ ...target, content, msg_id }));
    return this.frame(
      ANSWER_MS,
      'the answer',
      (frame) => frame.type === 'answer' && frame.msg_id === msg_id,
    );
  }

  /** The message with this id, pushed before or soon. */
  receives(msgId: string | undefined, limitMs: number): Promise<Frame> {
    return this.frame(
      limitMs,
      `${msgId} to reach ${this.name}`,
      (frame) => isMessage(frame) && frame.msg_id === msgId,
    );
  }

  /** The contents of all messages so far, in order of arrival. */
  received(): string[] {
    return this.frames.filter(isMessage).map(({ content }) => content ?? '');
  }

  async leave(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.socket, 'close');
    this.socket.close();
    await within(CONNECT_MS, 'closing the connection', closed);
  }

  private frame(limitMs: number, what: string, passes: (frame: Frame) => boolean): Promise<Frame> {
    const found = this.frames.find(passes);
    if (found !== undefined) return Promise.resolve(found);
    const arrival = new Promise<Frame>((resolve) => this.waiters.push({ passes, resolve }));
    return within(limitMs, `waiting for ${what}`, arrival);
  }

  private onFrame(frame: Frame): void {
    this.frames.push(frame);
    const served = this.waiters.filter(({ passes }) => passes(frame));
    this.waiters = this.waiters.filter((waiter) => !served.includes(waiter));
    for (const { resolve } of served) resolve(frame);
  }
}

function isMessage({ type }: Frame): boolean {
  return type === 'message' || type === 'group_message';
}
