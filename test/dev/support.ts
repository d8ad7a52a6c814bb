/** What the tests of the neighbours share: quiet stand-ins on free ports, a person with a socket, waiting. */
import { once } from 'node:events';
import { Etcd3 } from 'etcd3';
import { pino, type Logger } from 'pino';
import { WebSocket } from 'ws';
import type { GatewayConfig } from '../../dev/gateway/config';

export const quiet: Logger = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' });

/** Ids that no other test or run uses. */
export function unique(name: string): string {
  return `${name}-${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
}

function required(name: string): string[] {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run the tests with npm test`);
  return value.split(',');
}

export const etcdEndpoints = (): string[] => required('ETCD_ENDPOINTS');
export const kafkaBrokers = (): string[] => required('KAFKA_BROKERS');

export function etcdClient(): Etcd3 {
  return new Etcd3({
    hosts: etcdEndpoints(),
    defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + 3_000 }),
  });
}

/** A gateway on free ports, whose neighbours are not there unless told. */
export function gatewayOnFreePorts(changes: Partial<GatewayConfig> = {}): GatewayConfig {
  return {
    grpcPort: 0,
    httpPort: 0,
    advertisedHost: '127.0.0.1',
    etcdEndpoints: etcdEndpoints(),
    kafkaBrokers: [],
    imAddress: '127.0.0.1:1',
    userServiceAddress: '127.0.0.1:1',
    leaseSeconds: 90,
    ...changes,
  };
}

/** Asks until the answer passes, at most `withinMs`. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  passes: (answer: T) => boolean,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (passes(answer)) return answer;
    if (Date.now() > deadline)
      throw new Error(`still ${JSON.stringify(answer)} after ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export type Frame = Record<string, unknown>;

/** A person at a gateway, who remembers every frame. */
export class Person {
  readonly frames: Frame[] = [];
  closeCode: number | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => this.frames.push(JSON.parse(data.toString()) as Frame));
    socket.on('close', (code) => (this.closeCode = code));
  }

  /** Resolves when the gateway says that the registry shows the device. */
  static async present(httpUrl: string, user: string, device: string): Promise<Person> {
    const query = new URLSearchParams({ user, device }).toString();
    const person = new Person(new WebSocket(`${httpUrl.replace('http', 'ws')}/?${query}`));
    await once(person.socket, 'open');
    await person.next('present');
    return person;
  }

  /** The first frame of a type, now or soon. */
  async next(type: string, withinMs?: number): Promise<Frame> {
    const find = () => this.frames.find((frame) => frame.type === type);
    return (await eventually(find, (frame) => frame !== undefined, withinMs)) as Frame;
  }

  async leave(): Promise<void> {
    this.socket.close();
    await eventually(
      () => this.closeCode,
      (code) => code !== undefined,
    );
  }
}
