/** A worker in this process, and a Temporal client beside it. */
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { Config } from '../../src/config';
import { createLogger } from '../../src/logger';
import { projectRoot } from '../../src/paths';
import { installTemporalRuntime } from '../../src/temporal/runtime';
import { waitFor } from './wait';
import { startWorker } from '../../src/worker';
import type { RunningWorker } from '../../src/worker';

let installed = false;

/** Temporal's own log, quiet; its runtime is one for each process. */
export function quietTemporal(): void {
  if (installed) return;
  installed = true;
  installTemporalRuntime(createLogger('silent', 'test'));
}

/** The workflow code, which `npm test` has bundled before. */
export const workflowBundle = { codePath: join(projectRoot(), 'dist', 'workflow-bundle.js') };

export async function startTestWorker(config: Config): Promise<RunningWorker> {
  quietTemporal();
  return startWorker(config, { workflowBundle });
}

export async function connectTemporal(config: Config): Promise<Client> {
  const connection = await Connection.connect({ address: config.TEMPORAL_ADDRESS });
  return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
}

/** Resolves when the worker says that it is ready. */
export async function workerReady(worker: RunningWorker): Promise<void> {
  await waitFor('the worker to be ready', 60_000, async () => {
    return (await fetch(`http://127.0.0.1:${worker.httpPort}/ready`)).status === 200;
  });
}
