/**
 * What encryption costs a message on its way: CPU of a server process for each message routed over
 * gRPC, with encryption on over off, two servers in turns in one run.
 * Run with a stack up: `npm run bench -- encryption`.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@grpc/grpc-js';
import { pino } from 'pino';
import { connect, loadService } from '../dev/common/grpc';
import { DevUserService } from '../dev/user-service/user-service';
import { LocalKeys } from '../src/activities/encryption/local-keys';
import { projectRoot } from '../src/paths';

const SIZES = [100, 1_000, 10_000];
const MESSAGES_A_ROUND = 2_000;
const ROUNDS = 7;
/** Calls at once, as a gateway would have them. */
const CONCURRENCY = 64;
const USERS = 100;
const START_DEADLINE_MS = 60_000;
const CALL_DEADLINE_MS = 20_000;
/** Ports for the two servers, away from those of any stack. */
const FIRST_PORT = 18_700;

type RouteCall = (
  request: object,
  options: object,
  callback: (error: Error | null, answer: { success: boolean; error_message: string }) => void,
) => void;

/** A server process and a client of it. */
class Server {
  private constructor(
    private readonly child: ChildProcess,
    private readonly client: Client,
    private readonly httpPort: number,
  ) {}

  static async start(port: number, env: NodeJS.ProcessEnv): Promise<Server> {
    const ports = { GRPC_PORT: String(port), HTTP_PORT: String(port + 1) };
    const child = spawn(process.execPath, [join(projectRoot(), 'dist', 'src', 'server.js')], {
      env: { ...env, ...ports, LOG_LEVEL: 'error' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const client = connect(loadService('api/v1/im.proto', 'im.v1.IMService'), `127.0.0.1:${port}`);
    const server = new Server(child, client, port + 1);
    const until = Date.now() + START_DEADLINE_MS;
    while (!(await server.listens())) {
      if (Date.now() > until || child.exitCode !== null) throw new Error('a server does not start');
      await sleep(200);
    }
    return server;
  }

  route(request: object): Promise<void> {
    const { RoutePrivateMessage: call } = this.client as unknown as Record<string, RouteCall>;
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_DEADLINE_MS };
      call?.call(this.client, request, options, (error, answer) => {
        if (error) reject(error);
        else if (answer.error_message !== '') reject(new Error(answer.error_message));
        else resolve();
      });
    });
  }

  /** CPU the process has used, µs. */
  async cpu(): Promise<number> {
    const metrics = await (await fetch(`http://127.0.0.1:${this.httpPort}/metrics`)).text();
    return Number(/^process_cpu_seconds_total (\S+)/m.exec(metrics)?.[1]) * 1e6;
  }

  async stop(): Promise<void> {
    this.client.close();
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }

  private async listens(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.httpPort}/health`)).ok;
    } catch {
      // Not yet; the caller has the deadline.
      return false;
    }
  }
}

/** Routes so many messages to users who are away; resolves with µs of CPU for each. */
async function round(server: Server, content: string, run: string): Promise<number> {
  let left = MESSAGES_A_ROUND;
  const before = await server.cpu();
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      await server.route({
        msg_id: randomUUID(),
        sender_id: `sender-${run}-${left % USERS}`,
        recipient_id: `recipient-${run}-${left % USERS}`,
        content,
        timestamp: Date.now(),
        metadata: {},
      });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return ((await server.cpu()) - before) / MESSAGES_A_ROUND;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function measure(off: Server, on: Server, size: number): Promise<void> {
  const content = 'x'.repeat(size);
  // The same users all along: their keys are made in the first round, which does not count.
  const run = randomUUID().slice(0, 8);
  const costs = { off: [] as number[], on: [] as number[] };
  for (let i = -1; i < ROUNDS; i++) {
    // The order changes too, so that neither always runs on a warmer machine.
    const turns = i % 2 === 0 ? (['off', 'on'] as const) : (['on', 'off'] as const);
    for (const turn of turns) {
      const cost = await round(turn === 'on' ? on : off, content, `${turn}-${run}`);
      if (i >= 0) costs[turn].push(cost);
    }
  }
  const ratio = median(costs.on.map((cost, i) => cost / (costs.off[i] ?? 1)));
  console.log(
    `${String(size).padStart(6)} B: off ${median(costs.off).toFixed(0)} µs, ` +
      `on ${median(costs.on).toFixed(0)} µs of CPU a message, ratio ${ratio.toFixed(3)}`,
  );
}

async function main(): Promise<void> {
  const users = new DevUserService(
    { grpcPort: 0, httpPort: 0, kafkaBrokers: [] },
    pino({ level: 'silent' }),
  );
  await users.start();
  const common = {
    ...process.env,
    USER_SERVICE_ADDRESS: users.grpcAddress,
    IM_KAFKA_DEADLINE_MS: '10000',
    IM_MASTER_KEYS: LocalKeys.generate('bench'),
  };
  const off = await Server.start(FIRST_PORT, { ...common, ENCRYPTION: 'off' });
  const on = await Server.start(FIRST_PORT + 2, { ...common, ENCRYPTION: 'on' });
  try {
    for (const size of SIZES) await measure(off, on, size);
  } finally {
    await Promise.all([off.stop(), on.stop()]);
    await users.stop();
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
