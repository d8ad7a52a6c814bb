/**
 * Pages of a huge inbox: p50 and p99 of the first page, of the last page and of the count, through the
 * same code that REST runs. Needs the servers (`npm run stack -- up`) and fills a database of its own,
 * which takes minutes once; `npm run bench -- inbox-pages fill` does only that.
 *
 * BENCH_INBOX (default 1,000,000) messages wait for one user in a database of BENCH_TOTAL (5,000,000).
 */
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Database } from '../src/activities/mysql/database';
import { GroupUnread } from '../src/activities/mysql/group-unread';
import { Inbox } from '../src/activities/mysql/inbox';
import { InboxPages } from '../src/activities/mysql/inbox-pages';
import { LogDraws } from '../src/activities/mysql/log-draws';
import { migrate } from '../src/activities/mysql/migrate';
import { loadConfig } from '../src/config';
import { createLogger } from '../src/logger';
import { projectRoot } from '../src/paths';
import { OfflineInbox } from '../src/routing/offline-inbox';
import { fillInboxes } from './harness/inbox-rows';

const INBOX = Number(process.env['BENCH_INBOX'] ?? 1_000_000);
const TOTAL = Number(process.env['BENCH_TOTAL'] ?? 5_000_000);
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
/** So many that a p99 is more than a few stalls of the machine. */
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 8_000);
const USER = 'bench-reader';
const DATABASE = 'im_bench_inbox';

async function main(): Promise<void> {
  const url = await prepareDatabase(new URL(loadConfig(process.env).MYSQL_URL));
  const every = Math.max(1, Math.round(TOTAL / INBOX));
  await fillInboxes(url, TOTAL, `IF(n % ${every} = 0, '${USER}', CONCAT('user-', n % 1000))`);
  if (process.argv[2] === 'fill') return;
  const db = Database.open({ url, connections: 4, deadlineMs: 30_000 });
  try {
    const results = await measure(db);
    mkdirSync(join(projectRoot(), 'bench', 'results'), { recursive: true });
    const file = join(projectRoot(), 'bench', 'results', 'inbox-pages.json');
    writeFileSync(file, `${JSON.stringify({ inbox: INBOX, total: TOTAL, ...results }, null, 2)}\n`);
    console.log(results);
  } finally {
    await db.close();
  }
}

/** A database beside the service's own; kept, so that a second run need not fill it again. */
async function prepareDatabase(url: URL): Promise<string> {
  const admin = await createConnection(url.href);
  await admin.query(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
  await admin.end();
  url.pathname = `/${DATABASE}`;
  await migrate(url.href, join(projectRoot(), 'migrations'));
  return url.href;
}

async function measure(db: Database): Promise<Record<string, object | number>> {
  const groupUnread = new GroupUnread(db, { ttlMs: WEEK_MS, now: Date.now });
  const inbox = new OfflineInbox({
    pages: new InboxPages(db),
    inbox: new Inbox(db),
    groupUnread,
    draws: new LogDraws(db, groupUnread, { ttlMs: WEEK_MS }),
    now: Date.now,
    log: createLogger('silent', 'bench'),
  });
  const [near] = await db.select<{ id: string }>(
    'SELECT msg_id AS id FROM inbox WHERE user_id = ? ORDER BY position DESC LIMIT 1 OFFSET 100',
    [USER],
  );
  const kinds = {
    first: () => inbox.page(USER, undefined, 100),
    last: () => inbox.page(USER, near?.id, 100),
    count: () => inbox.count(USER),
  };
  const times: Record<keyof typeof kinds, number[]> = { first: [], last: [], count: [] };
  // In turn, so that what else the machine does hits all alike; the first rounds only warm up.
  for (let round = -50; round < ROUNDS; round++) {
    for (const [kind, run] of Object.entries(kinds)) {
      const began = performance.now();
      await run();
      if (round >= 0) times[kind as keyof typeof kinds].push(performance.now() - began);
    }
  }
  const [first, last, count] = [times.first, times.last, times.count].map(summary);
  return {
    first: first ?? {},
    last: last ?? {},
    count: count ?? {},
    lastToFirst: Number(((last?.p99 ?? 0) / (first?.p99 ?? 1)).toFixed(2)),
  };
}

function summary(times: number[]): { p50: number; p99: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (q: number): number => Number((sorted[Math.floor(sorted.length * q)] ?? 0).toFixed(2));
  return { p50: at(0.5), p99: at(0.99) };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
