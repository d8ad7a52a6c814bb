/** Histories of real runs (`dev/record-history.ts`) against today's workflow code. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { RETENTION_CLASSES } from '../../src/domain/retention';
import { quietTemporal, workflowBundle } from '../support/worker';

const folder = join(__dirname, 'histories');
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

describe('a workflow that runs while the service is deployed', () => {
  beforeAll(quietTemporal);

  const replay = (history: unknown) => Worker.runReplayHistory({ workflowBundle }, history);

  it.each(names)('goes on where it was: %s', async (name) => {
    const history = JSON.parse(readFileSync(join(folder, name), 'utf8')) as unknown;
    await replay(history);
  });

  it('of retention was recorded with every class of data that there is', () => {
    const text = names.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
    expect(RETENTION_CLASSES.filter((name) => !text.includes(`"${name}"`))).toEqual([]);
  });

  it('is found out by these tests when its code takes another path', async () => {
    const text = readFileSync(join(folder, 'drained-500.json'), 'utf8');
    const changed = JSON.parse(text.replaceAll('"deliverInboxPage"', '"another"')) as unknown;
    await expect(replay(changed)).rejects.toMatchObject({ name: 'DeterminismViolationError' });
  });

  it('keeps no content, only ids and counts', () => {
    for (const name of names) {
      const text = readFileSync(join(folder, name), 'utf8');
      expect(text).not.toContain('hello');
      expect(text).not.toContain(Buffer.from('hello').toString('base64').slice(0, 6));
    }
  });
});
