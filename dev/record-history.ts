/**
 * Saves a workflow's history for the replay tests:
 * `node dist/dev/record-history.js WORKFLOW_ID NAME [RUN_ID]` writes `test/workflows/histories/NAME.json`.
 * Histories hold ids and counts only; what names a machine is taken out.
 */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { loadConfig } from '../src/config';
import { projectRoot } from '../src/paths';

async function record(workflowId: string, name: string, runId?: string): Promise<void> {
  const config = loadConfig(process.env);
  const connection = await Connection.connect({ address: config.TEMPORAL_ADDRESS });
  const client = new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  await connection.close();
  const json = historyToJSON(history)
    .replace(/("identity": ")[^"]*"/g, '$1worker"')
    .replaceAll(`@${hostname()}`, '@host')
    .replaceAll(`${projectRoot()}/`, '');
  const file = join(projectRoot(), 'test', 'workflows', 'histories', `${name}.json`);
  writeFileSync(file, `${json}\n`);
  console.log(`${file}: ${history.events?.length ?? 0} events`);
}

const [workflowId, name, runId] = process.argv.slice(2);
if (!workflowId || !name) {
  console.error('Usage: node dist/dev/record-history.js WORKFLOW_ID NAME [RUN_ID]');
  process.exit(2);
}
record(workflowId, name, runId).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
