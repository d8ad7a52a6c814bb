/** A worker in this process, and a Temporal client beside it. */
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker';
import type { Config } from '../../src/config';
import { createLogger } from '../../src/logger';
import { installTemporalRuntime } from '../../src/temporal/runtime';
import { waitFor } from './wait';
import { startWorker } from '../../src/worker';
import type { RunningWorker } from '../../src/worker';

let installed = false;
let bundle: Promise<WorkflowBundleWithSourceMap> | undefined;

/** Temporal's own log, quiet; its runtime is one for each process. */
export function quietTemporal(): void {
  if (installed) return;
  installed = true;
  installTemporalRuntime(createLogger('silent', 'test'));
}

/** The workflow code, bundled once for each test file. */
export function workflowBundle(): Promise<WorkflowBundleWithSourceMap> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: require.resolve('../../src/workflows'),
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
}

export async function startTestWorker(config: Config): Promise<RunningWorker> {
  quietTemporal();
  return startWorker(config, { workflowBundle: await workflowBundle() });
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
