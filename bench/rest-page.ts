/**
 * REST pages of 50 from a database of millions, beside a Koa route that does nothing but answer with
 * the same bytes, in turn under the same generator.
 * `npm run bench -- rest-page [--rows 5000000] [--connections 50] [--seconds 8] [--rounds 2]
 * [--server-options=--cpu-prof]`.
 * The database is kept for the next run.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../src/paths';
import { freePort } from '../test/support/processes';
import { CpuMeter, cpuPerThousand } from './harness/cpu';
import type { HttpLoad, HttpResult } from './harness/http-generator';
import { fillInboxes } from './harness/inbox-rows';
import { describeMachine } from './harness/machine';
import type { Machine } from './harness/machine';
import { machineLine, table } from './harness/markdown';
import { round } from './harness/measure';
import { writeSummary } from './harness/results';
import { JWT_SECRET, processesOf, startBenchSystem } from './harness/system';
import { median } from './harness/trend';

const USERS = 5_000;
/** Users who ask; as many others exist beside them. */
const ASKING = 500;
const PATH = '/api/v1/offline?limit=50';
/** The limits stay in the way of a request, but high enough for one address to ask for all. */
const LIMITS = { IM_RATE_LIMIT_USER: '1000000', IM_RATE_LIMIT_ADDRESS: '10000000' };

/** One load, and the CPU seconds that each process used for 1,000 requests of it. */
interface Load extends HttpResult {
  readonly name: string;
  readonly cpu: Readonly<Record<string, number>>;
}

const { values: args } = parseArgs({
  options: {
    rows: { type: 'string', default: '5000000' },
    connections: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '2' },
    name: { type: 'string', default: 'rest-page' },
    'server-options': { type: 'string', default: '' },
  },
});

async function main(): Promise<void> {
  const system = await startBenchSystem(LIMITS, {
    instance: 'bench-pages',
    serverOptions: args['server-options'].split(' ').filter((option) => option !== ''),
  });
  const folder = mkdtempSync(join(tmpdir(), 'im-bench-'));
  let floor: ChildProcess | undefined;
  try {
    const url = system.stack.environment.MYSQL_URL;
    await fillInboxes(url, Number(args.rows), `CONCAT('user-', n % ${USERS})`);
    const tokens = await Promise.all(
      Array.from({ length: ASKING }, (_, i) => tokenFor(`user-${i}`)),
    );
    const body = await onePage(system.httpPort, tokens[0] as string);
    const floorPort = await freePort();
    const file = join(folder, 'page.json');
    writeFileSync(file, body);
    floor = spawn(process.execPath, [script('noop-koa.js'), `${floorPort}`, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(floor.stdout as NodeJS.ReadableStream, 'data');
    const meter = new CpuMeter({ ...processesOf(system), floor: [floor.pid ?? 0] });
    const pages: Load[] = [];
    const floors: Load[] = [];
    for (let i = 0; i < Number(args.rounds); i++) {
      floors.push(await load(meter, 'floor', { port: floorPort, tokens }));
      pages.push(await load(meter, 'page of 50', { port: system.httpPort, tokens }));
    }
    floors.push(await load(meter, 'floor', { port: floorPort, tokens }));
    const result = { machine: describeMachine(system.stack), ...args, ...sumUp(pages, floors) };
    console.log(result.verdict);
    console.log(writeSummary(args.name, result, paragraphs(result)));
  } finally {
    floor?.kill();
    rmSync(folder, { recursive: true });
    await system.close();
  }
}

async function onePage(port: number, token: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${PATH}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(10_000),
  });
  const body = await response.text();
  const { messages } = JSON.parse(body) as { messages?: unknown[] };
  if (messages?.length !== 50) throw new Error(`not a page of 50: ${body.slice(0, 200)}`);
  return body;
}

async function load(
  meter: CpuMeter,
  name: string,
  target: Pick<HttpLoad, 'port' | 'tokens'>,
): Promise<Load> {
  const child = fork(script('http-generator.js'));
  const before = meter.read();
  child.send({
    ...target,
    path: PATH,
    connections: Number(args.connections),
    warmUpS: 2,
    seconds: Number(args.seconds),
  } satisfies HttpLoad);
  const [result] = (await once(child, 'message')) as [HttpResult];
  const all = (result.latency.count * (2 + Number(args.seconds))) / Number(args.seconds);
  const cpu = cpuPerThousand(before, meter.read(), all);
  console.log(
    `${name.padEnd(12)} ${result.perSecond.toFixed(0).padStart(6)}/s  p50 ${result.latency.p50} ms  ` +
      `p99 ${result.latency.p99} ms  ${result.bytes} bytes  ${JSON.stringify(result.statuses)}  ` +
      `CPU s/1,000 about: ${JSON.stringify(cpu)}`,
  );
  if (Object.keys(result.statuses).join() !== '200') throw new Error('not every answer was 200');
  return { name, ...result, cpu };
}

interface Result {
  readonly machine: Machine;
  readonly rows: string;
  readonly connections: string;
  readonly name: string;
  readonly ratio: number;
  readonly verdict: string;
  readonly pages: readonly Load[];
  readonly floors: readonly Load[];
}

function sumUp(
  pages: readonly Load[],
  floors: readonly Load[],
): Pick<Result, 'ratio' | 'verdict' | 'pages' | 'floors'> {
  const perSecond = (of: readonly Load[]): number => median(of.map((each) => each.perSecond));
  const ratio = round(perSecond(pages) / perSecond(floors), 3);
  const verdict =
    `Pages: ${perSecond(pages).toFixed(0)}/s, floor: ${perSecond(floors).toFixed(0)}/s, ` +
    `ratio ${ratio} (medians).`;
  return { ratio, verdict, pages, floors };
}

function paragraphs(result: Result): string[] {
  const { machine, name, rows, connections, verdict, pages, floors } = result;
  const loads = floors.flatMap((floor, i) => [floor, ...pages.slice(i, i + 1)]);
  return [
    `# REST pages: ${name}`,
    machineLine(machine),
    `${PATH} of ${ASKING} users in turn, in a database of ${rows} waiting messages of 200 bytes, over ` +
      `${connections} connections in a closed loop. The floor is a Koa route that answers with the ` +
      'same bytes, under the same generator, right before and after.',
    verdict,
    table(
      ['load', 'requests/s', 'p50 ms', 'p99 ms', 'bytes', 'CPU s for 1,000'],
      loads.map(({ name: load, perSecond, latency, bytes, cpu }) => [
        load,
        perSecond.toFixed(0),
        latency.p50.toFixed(1),
        latency.p99.toFixed(1),
        String(bytes),
        Object.entries(cpu)
          .filter(([, seconds]) => seconds >= 0.01)
          .map(([of, seconds]) => `${of} ${seconds.toFixed(2)}`)
          .join(', '),
      ]),
    ),
  ];
}

async function tokenFor(user: string): Promise<string> {
  const { SignJWT } = await import('jose');
  return new SignJWT({ sub: user, exp: Math.floor(Date.now() / 1_000) + 7_200 })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(JWT_SECRET));
}

function script(name: string): string {
  return join(projectRoot(), 'dist', 'bench', 'harness', name);
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
