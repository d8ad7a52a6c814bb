/** Word lists in MySQL, beside those in files: changed, broken, away, without a restart. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../../../src/activities/mysql/database';
import { TableLists } from '../../../src/activities/mysql/table-lists';
import { FolderLists } from '../../../src/activities/word-lists/folder-lists';
import { WordLists } from '../../../src/activities/word-lists/word-lists';
import { createLogger } from '../../../src/logger';
import { createMetrics } from '../../../src/metrics';
import { createDatabase } from '../../support/mysql';
import { waitFor } from '../../support/wait';

const INTERVAL_MS = 50;

describe('word lists of the table', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let folder: string;
  let lists: WordLists | undefined;
  let metrics: ReturnType<typeof createMetrics>;

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 3, deadlineMs: 5_000 });
    folder = mkdtempSync(join(tmpdir(), 'im-lists-'));
  });
  beforeEach(async () => {
    metrics = createMetrics();
    await db.execute('DELETE FROM word_lists');
  });
  afterEach(() => {
    lists?.close();
    lists = undefined;
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
    rmSync(folder, { recursive: true });
  });

  const put = (name: string, action: string, words: string, options: object = {}) =>
    db.execute('REPLACE INTO word_lists SET ?', [{ name, action, words, ...options }]);
  const open = async (from = db) => {
    const log = createLogger('silent', 'test');
    const sources = [new TableLists(from), new FolderLists(folder)];
    lists = await WordLists.open({ sources, intervalMs: INTERVAL_MS, log, metrics });
    return lists;
  };
  const loads = async (outcome: string) => {
    const { values } = await metrics.wordListLoads.get();
    return values.find((value) => value.labels.outcome === outcome)?.value ?? 0;
  };
  const screen = (text: string) => (lists as WordLists).filter.screen(text);
  const becomes = (text: string, expected: string) =>
    waitFor(`"${text}" to become "${expected}"`, 5_000, () =>
      Promise.resolve(screen(text).content === expected),
    );

  it('are used beside the files, each with its own action and options', async () => {
    writeFileSync(join(folder, 'file.txt'), 'action: replace\n\nfiled');
    await put('mild', 'replace', '# a comment\nbad\n\ntwo words\r\n');
    await put('whole', 'replace', 'ass', { whole_word: 1 });
    await put('spaced', 'replace', 'hidden', { ignore_separators: 1 });
    await put('vile', 'block', 'worst');
    await put('watched', 'audit', 'curious');
    await open();
    expect(screen('bad filed, two words').content).toBe('*** ***, ***');
    expect(screen('ass assassin h-i.d d e n').content).toBe('*** assassin ***');
    expect(screen('the worst').blockedBy).toBe('vile');
    expect(screen('curious').auditedBy).toEqual(['watched']);
  });

  it('are taken into use without a restart when they come, change or go', async () => {
    await open();
    expect(screen('bad worse').content).toBe('bad worse');
    await put('one', 'replace', 'bad');
    await becomes('bad worse', '*** worse');
    await db.execute("UPDATE word_lists SET words = 'worse'");
    await becomes('bad worse', 'bad ***');
    await db.execute("UPDATE word_lists SET action = 'audit'");
    await becomes('bad worse', 'bad worse');
    expect(screen('worse').auditedBy).toEqual(['one']);
    await db.execute('DELETE FROM word_lists');
    await waitFor('no list', 5_000, () => Promise.resolve(!screen('worse').auditedBy.length));
  });

  it('that one transaction changes are changed at once: no message sees one without the other', async () => {
    await put('one', 'replace', 'old1');
    await put('two', 'replace', 'old2');
    await open();
    const seen = new Set<string>();
    for (let round = 1; round <= 5; round++) {
      const change = [`new${round}a`, `new${round}b`];
      await db.transaction(async (tx) => {
        await tx.execute("UPDATE word_lists SET words = ? WHERE name = 'one'", [change[0]]);
        // Looks come in between.
        await sleep(2 * INTERVAL_MS);
        await tx.execute("UPDATE word_lists SET words = ? WHERE name = 'two'", [change[1]]);
      });
      await waitFor('the change', 5_000, () => {
        const text = screen(change.join(' ')).content;
        seen.add(text.replaceAll(/new\d/g, 'new'));
        return Promise.resolve(text === '*** ***');
      });
    }
    expect([...seen].sort()).toEqual(['*** ***', 'newa newb']);
  });

  it('that are broken keep their old words, are counted once, and do not hold up others', async () => {
    await put('one', 'replace', 'bad');
    await open();
    await put('one', 'replace', 'worse\n***');
    await put('two', 'replace', 'other');
    await becomes('bad worse other', '*** worse ***');
    await sleep(4 * INTERVAL_MS);
    expect(await loads('broken')).toBe(1);
    await put('one', 'replace', 'worse');
    await becomes('bad worse other', 'bad *** ***');
  });

  it('stay in use while MySQL is away, and files still change', async () => {
    await put('one', 'replace', 'bad');
    const lost = Database.open({ url: own.url, connections: 1, deadlineMs: 1_000 });
    await open(lost);
    await lost.close();
    await waitFor('the counter', 5_000, async () => (await loads('unreadable')) > 0);
    writeFileSync(join(folder, 'late.txt'), 'action: replace\n\nlate');
    await becomes('bad late', '*** ***');
  });

  it('that are broken at the start let nothing start, by name', async () => {
    await put('mine', 'replace', '***');
    await expect(open()).rejects.toThrow(/mine: a word has "\*"/);
  });

  it('of another action are refused by MySQL itself', async () => {
    await expect(put('mine', 'destroy', 'word')).rejects.toMatchObject({
      code: 'WARN_DATA_TRUNCATED',
    });
  });
});
