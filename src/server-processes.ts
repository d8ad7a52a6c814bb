/**
 * `SERVER_PROCESSES`: several server processes behind one gRPC and one REST port of a machine.
 *
 * The first process serves nothing itself: it holds the ports and hands connections to the others in
 * turn, starts them anew when they die, and adds their metrics up. A connection stays with the process
 * it was given to, so what comes in on one connection keeps its order.
 */
import cluster from 'node:cluster';
import type { Worker } from 'node:cluster';
import { once } from 'node:events';
import { AggregatorRegistry } from 'prom-client';
import type { Registry } from 'prom-client';
import { withDeadline } from './activities/deadline';
import type { Config } from './config';
import { messageOf } from './domain/errors';
import { createLogger } from './logger';

/** First and longest pause before a process that died is started anew, ms. */
const RESTART_MS = [500, 15_000] as const;
/** So many deaths within a minute are no accident: whoever runs us is to know. */
const MAX_DEATHS = 12;
const DEATHS_WITHIN_MS = 60_000;
/** For the metrics of all processes, ms; prom-client itself gives up after 5 s. */
const METRICS_DEADLINE_MS = 6_000;

interface MetricsMessage {
  readonly imMetrics: number;
  readonly text?: string;
}

/** Starts the processes. Throws, later and for all to see, when they keep dying. */
export function startProcesses(config: Config): Promise<{ close(): Promise<void> }> {
  const log = createLogger(config.LOG_LEVEL, 'server');
  const aggregator = new AggregatorRegistry();
  let deaths: number[] = [];
  let stopping = false;
  const timers = new Set<NodeJS.Timeout>();

  cluster.on('exit', (worker, code, signal) => {
    if (stopping) return;
    const now = Date.now();
    deaths = [...deaths.filter((at) => at > now - DEATHS_WITHIN_MS), now];
    if (deaths.length > MAX_DEATHS) throw new Error('server processes keep dying');
    const pause = Math.min(RESTART_MS[0] * 2 ** (deaths.length - 1), RESTART_MS[1]);
    log.error({ pid: worker.process.pid, code, signal, pause }, 'a server process died');
    const timer = setTimeout(() => {
      timers.delete(timer);
      cluster.fork();
    }, pause);
    timers.add(timer);
  });
  cluster.on('message', (worker, message: Partial<MetricsMessage>) => {
    const { imMetrics } = message;
    if (imMetrics === undefined) return;
    const answer = (text?: string): void => {
      if (worker.isConnected()) worker.send({ imMetrics, text } satisfies MetricsMessage);
    };
    aggregator.clusterMetrics().then(answer, (error: unknown) => {
      log.warn({ err: messageOf(error) }, 'metrics of the processes not read');
      answer();
    });
  });
  for (let i = 0; i < config.SERVER_PROCESSES; i++) cluster.fork();
  return Promise.resolve({
    close: async () => {
      stopping = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(Object.values(cluster.workers ?? {}).map((worker) => end(worker)));
    },
  });
}

/** In one of several processes: a function that reads the metrics of all. */
export function sharedMetrics(registry: Registry): (() => Promise<string>) | undefined {
  if (!cluster.isWorker) return undefined;
  AggregatorRegistry.setRegistries(registry);
  const waiting = new Map<number, (text: string | undefined) => void>();
  let asked = 0;
  process.on('message', (message: Partial<MetricsMessage>) => {
    if (message.imMetrics === undefined) return;
    waiting.get(message.imMetrics)?.(message.text);
  });
  return async () => {
    const id = ++asked;
    const answer = new Promise<string | undefined>((resolve) => waiting.set(id, resolve));
    try {
      process.send?.({ imMetrics: id } satisfies MetricsMessage);
      const text = await withDeadline(answer, METRICS_DEADLINE_MS, 'reading metrics');
      if (text === undefined) throw new Error('the metrics of the processes were not read');
      return text;
    } finally {
      waiting.delete(id);
    }
  };
}

/** Lets prom-client answer for this process from its first moment on. */
export function answerForMetrics(): void {
  new AggregatorRegistry();
}

/** Whether this process is to start the others. */
export function isFirstOfMany(config: Config): boolean {
  return config.SERVER_PROCESSES > 1 && cluster.isPrimary;
}

/** Ends a process, with its grace; the first process's own grace is the limit. */
async function end(worker: Worker | undefined): Promise<void> {
  if (!worker || worker.isDead()) return;
  const exited = once(worker, 'exit');
  worker.process.kill('SIGTERM');
  await exited;
}
