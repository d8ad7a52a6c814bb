/**
 * Throughput of private messages, online and offline, and of both executors, beside the floor: a
 * server that does nothing, under the same generator in the same run. `npm run bench -- routing`.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../src/paths';
import { freePort } from '../test/support/processes';
import { cpuSeconds } from './harness/cpu';
import type { LoadResult } from './harness/generator';
import { startBenchSystem } from './harness/system';

const USERS = 200;
const CONCURRENCY = 50;
const SECONDS = 10;
/** A Temporal activity for each message: fewer callers, so that none waits for its deadline. */
const TEMPORAL_CONCURRENCY = 10;

const run = promisify(execFile);
const script = (name: string): string => join(projectRoot(), 'dist', 'bench', 'harness', name);

async function load(
  name: string,
  port: number,
  pid: number,
  prefix: string,
  concurrency = CONCURRENCY,
): Promise<LoadResult> {
  const before = cpuSeconds(pid);
  const args = [script('generator.js'), port, prefix, USERS, concurrency, SECONDS].map(String);
  const { stdout } = await run(process.execPath, args, { maxBuffer: 1 << 20 });
  const result = JSON.parse(stdout) as LoadResult;
  const messages = Object.values(result.statuses).reduce((sum, count) => sum + count, 0);
  const cpu = ((cpuSeconds(pid) - before) / messages) * 1_000;
  console.log(
    `${name.padEnd(22)} ${result.perSecond.toFixed(0).padStart(6)}/s  p50 ${result.p50.toFixed(1)} ms  ` +
      `p99 ${result.p99.toFixed(1)} ms  ~${cpu.toFixed(3)} CPU s for 1,000  ${JSON.stringify(result.statuses)}`,
  );
  return result;
}

async function floor(): Promise<LoadResult> {
  const port = await freePort();
  const server = spawn(process.execPath, [script('noop-server.js'), String(port)]);
  await once(server.stdout, 'data');
  const result = await load('floor (no-op grpc-js)', port, server.pid ?? 0, 'nobody-');
  server.kill();
  return result;
}

async function main(): Promise<void> {
  const system = await startBenchSystem();
  try {
    for (let i = 0; i < USERS; i++) await system.gateway.connect(`online-${i}`, 'phone');
    const base = await floor();
    const online = await load('online', system.grpcPort, system.server.pid, 'online-');
    const offline = await load('offline', system.grpcPort, system.server.pid, 'offline-');
    const ratio = (a: LoadResult, b: LoadResult): string => (a.perSecond / b.perSecond).toFixed(2);
    console.log(
      `online / floor ${ratio(online, base)}, offline / online ${ratio(offline, online)}`,
    );
  } finally {
    await system.close();
  }
  const temporal = await startBenchSystem({ ROUTING_EXECUTOR: 'temporal' });
  try {
    for (let i = 0; i < USERS; i++) await temporal.gateway.connect(`online-${i}`, 'phone');
    const { grpcPort, server } = temporal;
    await load('online, by Temporal', grpcPort, server.pid, 'online-', TEMPORAL_CONCURRENCY);
  } finally {
    await temporal.close();
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
