import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FolderLists } from '../../../src/activities/word-lists/folder-lists';
import { WordLists } from '../../../src/activities/word-lists/word-lists';
import { createLogger } from '../../../src/logger';
import { createMetrics } from '../../../src/metrics';
import { waitFor } from '../../support/wait';

const INTERVAL_MS = 50;

describe('word lists of a folder', () => {
  let folder: string;
  let lists: WordLists | undefined;
  let metrics: ReturnType<typeof createMetrics>;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'im-lists-'));
    metrics = createMetrics();
  });
  afterEach(() => {
    lists?.close();
    lists = undefined;
    rmSync(folder, { recursive: true });
  });

  const put = (name: string, text: string) => {
    writeFileSync(join(folder, 'draft'), text);
    renameSync(join(folder, 'draft'), join(folder, `${name}.txt`));
  };
  const open = async () => {
    const log = createLogger('silent', 'test');
    const sources = [new FolderLists(folder)];
    lists = await WordLists.open({ sources, intervalMs: INTERVAL_MS, log, metrics });
    return lists;
  };
  const loads = async (outcome: string) => {
    const { values } = await metrics.wordListLoads.get();
    return values.find((value) => value.labels.outcome === outcome)?.value ?? 0;
  };
  const becomes = (text: string, expected: string) =>
    waitFor(`"${text}" to become "${expected}"`, 5_000, () =>
      Promise.resolve(lists?.filter.screen(text).content === expected),
    );

  it('are taken into use without a restart when they come, change or go', async () => {
    put('one', 'action: replace\n\nbad');
    const { filter } = await open();
    expect(filter.screen('bad worse').content).toBe('*** worse');
    put('two', 'action: replace\n\nworse');
    await becomes('bad worse', '*** ***');
    put('one', 'action: replace\n\nother');
    await becomes('bad worse other', 'bad *** ***');
    rmSync(join(folder, 'two.txt'));
    await becomes('bad worse other', 'bad worse ***');
  });

  it('change all at once: no message sees the new list beside the old', async () => {
    const both = (words: string) => {
      put('one', `action: replace\n\n${words}1`);
      put('two', `action: replace\n\n${words}2`);
    };
    both('old');
    const seen = new Set<string>();
    const { filter } = await open();
    expect(filter.screen('old1 old2').content).toBe('*** ***');
    both('new');
    await waitFor('the new lists', 5_000, () => {
      seen.add((lists as WordLists).filter.screen('old1 old2 new1 new2').content);
      return Promise.resolve(seen.size > 1);
    });
    expect([...seen]).toEqual(['*** *** new1 new2', 'old1 old2 *** ***']);
  });

  it('that are broken keep their old words, are counted once, and do not hold up others', async () => {
    put('one', 'action: replace\n\nbad');
    await open();
    put('one', 'action: destroy\n\nworse');
    put('two', 'action: replace\n\nother');
    await becomes('bad worse other', '*** worse ***');
    await sleep(4 * INTERVAL_MS);
    expect(await loads('broken')).toBe(1);
    put('one', 'action: replace\n\nworse');
    await becomes('bad worse other', 'bad *** ***');
  });

  it('stay in use while the folder cannot be read', async () => {
    put('one', 'action: replace\n\nbad');
    await open();
    renameSync(folder, `${folder}-away`);
    await waitFor('the counter', 5_000, async () => (await loads('unreadable')) > 0);
    expect(lists?.filter.screen('bad').content).toBe('***');
    renameSync(`${folder}-away`, folder);
  });

  it('that are broken at the start let nothing start, by name', async () => {
    put('mine', 'nonsense\n\nbad');
    await expect(open()).rejects.toThrow(/mine: line 1/);
  });
});
