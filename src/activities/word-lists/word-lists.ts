/**
 * The word lists of a folder, kept up to date without a restart. All lists that changed are made ready
 * first and then take the place of the old ones in one step; a list that is broken keeps its old words.
 */
import { messageOf } from '../../domain/errors';
import { Folder } from '../../domain/word-filter/folding';
import { parseWordList } from '../../domain/word-filter/list-format';
import { WordFilter } from '../../domain/word-filter/word-filter';
import { WordList } from '../../domain/word-filter/word-list';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { listMarks, readList } from './list-files';
import type { ListMarks } from './list-files';

export interface WordListsOptions {
  readonly folder: string;
  /** How often the folder is looked at, ms. */
  readonly intervalMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class WordLists {
  private readonly folder = new Folder();
  private lists: ReadonlyMap<string, WordList> = new Map();
  private current: WordFilter;
  /** What was loaded, or found to be broken, and is not tried again. */
  private settled: ListMarks = new Map();
  /** What the last look saw; a file is read once two looks agree, so that it is not half written. */
  private seen: ListMarks = new Map();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  private constructor(private readonly options: WordListsOptions) {
    this.current = new WordFilter([], this.folder);
  }

  /** Loads all lists; rejects when one is broken: there is no older one to use instead. */
  static async open(options: WordListsOptions): Promise<WordLists> {
    const lists = new WordLists(options);
    const marks = await listMarks(options.folder);
    const broken = await lists.load([...marks.keys()], marks);
    if (broken.length > 0) throw new Error(`word lists are broken: ${broken.join('; ')}`);
    lists.seen = marks;
    lists.lookLater();
    return lists;
  }

  /** The filter as the lists are now. */
  get filter(): WordFilter {
    return this.current;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private lookLater(): void {
    if (this.closed) return;
    this.timer = setTimeout(() => void this.look(), this.options.intervalMs);
    this.timer.unref();
  }

  private async look(): Promise<void> {
    try {
      const marks = await listMarks(this.options.folder);
      const before = this.seen;
      this.seen = marks;
      const changed = [...marks.keys()].filter(
        (name) => marks.get(name) !== this.settled.get(name),
      );
      const still = changed.filter((name) => marks.get(name) === before.get(name));
      const removed = [...this.settled.keys()].some((name) => !marks.has(name));
      if (still.length > 0 || removed) await this.load(still, marks);
    } catch (error) {
      this.options.metrics.wordListLoads.inc({ outcome: 'unreadable' });
      this.options.log.error(
        { err: messageOf(error) },
        'word lists not looked at; the old ones stay',
      );
    }
    this.lookLater();
  }

  /** Reads the named lists and takes them into use, all at once; returns what is wrong with others. */
  private async load(names: readonly string[], marks: ListMarks): Promise<string[]> {
    const { log, metrics } = this.options;
    const next = new Map([...this.lists].filter(([name]) => marks.has(name)));
    const settled = new Map([...this.settled].filter(([name]) => marks.has(name)));
    const broken: string[] = [];
    for (const name of names) {
      settled.set(name, marks.get(name) as string);
      try {
        next.set(name, await this.compile(name));
        metrics.wordListLoads.inc({ outcome: 'loaded' });
      } catch (error) {
        broken.push(`${name}: ${messageOf(error)}`);
        metrics.wordListLoads.inc({ outcome: 'broken' });
        log.error({ list: name, err: messageOf(error) }, 'word list is broken; the old one stays');
      }
    }
    this.settled = settled;
    this.lists = next;
    this.current = new WordFilter([...next.values()], this.folder);
    const sizes = Object.fromEntries([...next].map(([name, list]) => [name, list.size]));
    log.info({ words: sizes }, 'word lists in use');
    return broken;
  }

  private async compile(name: string): Promise<WordList> {
    const source = parseWordList(name, await readList(this.options.folder, name));
    const steps = WordList.compile(source, this.folder);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      // Messages go on meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
