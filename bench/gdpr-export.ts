/**
 * The export of a user with 1,000,000 messages, half of them sent: messages a second from the request to
 * the finished bundle and from the bundle to the client, and the memory of the worker and the server
 * meanwhile. `npm run bench -- gdpr-export load` makes the messages, which stay for the runs that follow.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../src/activities/mysql/database';
import { fillMessages } from '../test/support/many-messages';
import { startBenchSystem } from './harness/system';
import type { BenchSystem } from './harness/system';

const MESSAGES = 1_000_000;
const USER = 'of-a-million-messages';
const JWT_SECRET = 'of-the-benchmarks-0123456789abcdef';
const STATEMENT_MS = 60_000;
const LOOK_EVERY_MS = 250;

async function main(isLoad: boolean): Promise<void> {
  const system = await startBenchSystem({ JWT_SECRET, IM_RATE_LIMIT_USER: '0' });
  try {
    await load(system);
    if (!isLoad) await measure(system);
  } finally {
    await system.close();
  }
}

/** What an earlier load left is used again. */
async function load({ stack }: BenchSystem): Promise<void> {
  const url = stack.environment.MYSQL_URL;
  const db = Database.open({ url, connections: 1, deadlineMs: STATEMENT_MS });
  const half = MESSAGES / 2;
  for (const [type, column] of [
    ['sent', 'sender_id'],
    ['received', 'recipient_id'],
  ] as const) {
    const [row] = await db.select<{ n: number }>(
      `SELECT COUNT(*) AS n FROM messages WHERE ${column} = ?`,
      [USER],
    );
    const missing = half - (row?.n ?? 0);
    if (missing > 0) await fillMessages(db, USER, { sent: 0, received: 0, [type]: missing });
  }
  await db.close();
}

async function measure({ httpPort, worker, server }: BenchSystem): Promise<void> {
  const base = `http://127.0.0.1:${httpPort}`;
  const headers = { authorization: `Bearer ${await token()}` };
  const [workerBefore, serverBefore] = [rss(worker.pid), rss(server.pid)];
  let [workerMost, serverMost] = [workerBefore, serverBefore];
  const sample = setInterval(() => {
    workerMost = Math.max(workerMost, rss(worker.pid));
    serverMost = Math.max(serverMost, rss(server.pid));
  }, LOOK_EVERY_MS);

  const began = performance.now();
  const asked = await fetch(`${base}/api/v1/export`, { headers });
  if (asked.status !== 202) throw new Error(`the export was answered with ${asked.status}`);
  const job = `${base}${asked.headers.get('location')}`;
  let url: string | undefined;
  while (url === undefined) {
    await sleep(LOOK_EVERY_MS);
    const answer = await fetch(job, { headers });
    const { state, download_url } = (await answer.json()) as Record<string, string>;
    if (state === 'failed') throw new Error('the export failed');
    url = download_url;
  }
  const written = performance.now();
  const { bytes, messages } = await download(`${base}${url}`, headers);
  const read = performance.now();
  clearInterval(sample);
  console.log({
    messages,
    export_s: round((written - began) / 1000),
    exported_per_s: Math.round((messages / (written - began)) * 1000),
    download_s: round((read - written) / 1000),
    downloaded_per_s: Math.round((messages / (read - written)) * 1000),
    download_mb: round(bytes / 1e6),
    worker_rss_mb: { before: workerBefore, most: workerMost },
    server_rss_mb: { before: serverBefore, most: serverMost },
  });
}

/** Reads it as it comes, and counts its messages. */
async function download(
  url: string,
  headers: Record<string, string>,
): Promise<{ bytes: number; messages: number }> {
  const response = await fetch(url, { headers: { ...headers, 'accept-encoding': 'identity' } });
  const reader = response.body?.getReader();
  let [bytes, messages, tail] = [0, 0, ''];
  for (;;) {
    const value = (await reader?.read())?.value as Uint8Array | undefined;
    if (!value) break;
    bytes += value.length;
    const text = tail + Buffer.from(value).toString('latin1');
    messages += text.split('"msg_id"').length - 1;
    // Shorter than what is counted, so that nothing is counted twice.
    tail = text.slice(-7);
  }
  if (!tail.trimEnd().endsWith('}')) throw new Error('the export was cut off');
  return { bytes, messages };
}

async function token(): Promise<string> {
  const { SignJWT } = await import('jose');
  return new SignJWT({ sub: USER, exp: Math.floor(Date.now() / 1000) + 3_600 })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(JWT_SECRET));
}

/** Resident memory of a process, MB. */
function rss(pid: number): number {
  const [, kb = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kb) / 1024);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

main(process.argv[2] === 'load').catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
