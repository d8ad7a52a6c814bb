/** `npm run keys -- COMMAND`: master keys and data keys, for operators. */
import { WorkflowIdConflictPolicy } from '@temporalio/client';
import { LocalKeys } from './activities/encryption/local-keys';
import { Database } from './activities/mysql/database';
import { ConfigError, loadConfig } from './config';
import type { Config } from './config';
import { idProblem, MAX_USER_ID_BYTES } from './domain/ids';
import { REWRAP_ID, REWRAP_WORKFLOW } from './domain/key-rotation';
import { messageOf } from './domain/errors';
import { createEncryption } from './encryption';
import type { Encryption } from './encryption';
import { createLogger } from './logger';
import { createMetrics } from './metrics';
import { Temporal } from './temporal/client';

const USAGE = `Usage: npm run keys -- COMMAND

  create ID            print a new master key, ID:KEY, to be put where the master keys are
  rotate master        wrap all data keys by the current master key (a workflow; workers must know it)
  rotate user USER_ID  give a user a new data key; older messages stay readable
  status               the master keys, and how many data keys each wraps`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** For starting the workflow, ms. */
const TEMPORAL_DEADLINE_MS = 10_000;

class UsageError extends Error {}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs one command; resolves with the exit code. */
export async function runKeys(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [command, what, userId, ...rest] = args;
  if (command === 'create' && what !== undefined && userId === undefined) {
    say(LocalKeys.generate(what));
    return 0;
  }
  if (rest.length > 0) throw new UsageError('too many words.');
  const config = loadConfig(env);
  if (command === 'rotate' && what === 'master' && userId === undefined) {
    return rotateMaster(config);
  }
  if (command === 'rotate' && what === 'user' && userId !== undefined) {
    const problem = idProblem(userId, MAX_USER_ID_BYTES);
    if (problem) throw new UsageError(`USER_ID ${problem}.`);
    return withEncryption(config, async ({ keys }) => {
      say(`new data key ${(await keys.rotate(userId)).keyId}`);
      return 0;
    });
  }
  if (command === 'status' && what === undefined) return withEncryption(config, status(config));
  throw new UsageError(command === undefined ? 'COMMAND is missing.' : 'unknown command.');
}

/** Exits with 1 when data keys are wrapped by a master key that is not there. */
function status(config: Config): (encryption: Encryption) => Promise<number> {
  return async ({ rows, provider }) => {
    const known = LocalKeys.fromConfig(config)?.ids ?? [];
    const use = new Map((await rows.masterKeyUse()).map((u) => [u.masterKeyId, u.userKeys]));
    say(`encryption of new messages: ${config.ENCRYPTION}`);
    for (const id of new Set([...known, ...use.keys()])) {
      const state = id === provider.currentKeyId ? 'current' : known.includes(id) ? '' : 'MISSING';
      say(
        `${id.padEnd(32)} ${String(use.get(id) ?? 0).padStart(10)} data keys  ${state}`.trimEnd(),
      );
    }
    return [...use.keys()].every((id) => known.includes(id)) ? 0 : EXIT_FAILED;
  };
}

async function rotateMaster(config: Config): Promise<number> {
  const temporal = new Temporal({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
  });
  try {
    await temporal.within(TEMPORAL_DEADLINE_MS, (client) =>
      client.workflow.start(REWRAP_WORKFLOW, {
        workflowId: REWRAP_ID,
        workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
        taskQueue: config.IM_TEMPORAL_TASK_QUEUE,
      }),
    );
  } finally {
    await temporal.close();
  }
  say(`workflow ${REWRAP_ID} runs; it is done when "status" shows no data keys under older keys`);
  return 0;
}

async function withEncryption(
  config: Config,
  work: (encryption: Encryption) => Promise<number>,
): Promise<number> {
  const database = Database.open({
    url: config.MYSQL_URL,
    connections: 1,
    deadlineMs: config.IM_MYSQL_DEADLINE_MS,
  });
  try {
    const log = createLogger('error', 'keys');
    return await work(createEncryption(config, database, { metrics: createMetrics(), log }));
  } finally {
    await database.close();
  }
}

async function main(): Promise<void> {
  try {
    process.exitCode = await runKeys(process.argv.slice(2), process.env);
  } catch (error) {
    const misused = error instanceof UsageError;
    process.stderr.write(`keys: ${messageOf(error)}\n${misused ? `\n${USAGE}\n` : ''}`);
    process.exitCode = misused || error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED;
  }
}

if (require.main === module) void main();
