/** `npm run audit -- verify`: holds the audit log against its own hashes. */
import { AuditLog } from './activities/mysql/audit-log';
import { Database } from './activities/mysql/database';
import { loadConfig } from './config';
import { messageOf } from './domain/errors';

const USAGE = `Usage: npm run audit -- verify

  verify   walk the audit log; exits with 1 and names the first row that is not as it was written`;

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;
/** For one page, ms: nobody waits for an answer of ours meanwhile. */
const DEADLINE_MS = 30_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs one command; resolves with the exit code. */
export async function runAudit(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (args.length !== 1 || args[0] !== 'verify') {
    process.stderr.write(`${USAGE}\n`);
    return EXIT_USAGE;
  }
  const url = loadConfig(env).MYSQL_URL;
  const database = Database.open({ url, connections: 1, deadlineMs: DEADLINE_MS });
  try {
    const { intact, broken } = await new AuditLog(database, Date.now).verify();
    if (!broken) {
      say(`the audit log is intact: ${intact} rows`);
      return 0;
    }
    say(
      `the audit log is broken at row ${broken.seq}: ${broken.problem} (${intact} rows are intact)`,
    );
    return EXIT_BROKEN;
  } finally {
    await database.close();
  }
}

async function main(): Promise<void> {
  try {
    process.exitCode = await runAudit(process.argv.slice(2), process.env);
  } catch (error) {
    process.stderr.write(`audit: ${messageOf(error)}\n`);
    process.exitCode = EXIT_USAGE;
  }
}

if (require.main === module) void main();
