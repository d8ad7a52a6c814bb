/**
 * All word lists, from a folder and from MySQL, kept up to date without a restart. All lists that changed
 * are made ready first and then take the place of the old ones in one step.
 */
import { Folder } from '../../domain/word-filter/folding';
import { WordFilter } from '../../domain/word-filter/word-filter';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import type { ListSource } from './list-source';
import { WatchedLists } from './watched-lists';

export interface WordListsOptions {
  readonly sources: readonly ListSource[];
  /** How often the sources are looked at, ms. */
  readonly intervalMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class WordLists {
  private readonly folder = new Folder();
  private readonly watched: readonly WatchedLists[];
  private current: WordFilter;
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  private constructor(private readonly options: WordListsOptions) {
    const { sources, log, metrics } = options;
    const { folder } = this;
    this.watched = sources.map((source) => new WatchedLists({ source, folder, log, metrics }));
    this.current = new WordFilter([], this.folder);
  }

  /** Loads all lists; rejects when one is broken. */
  static async open(options: WordListsOptions): Promise<WordLists> {
    const lists = new WordLists(options);
    for (const each of lists.watched) await each.open();
    lists.use();
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
    const changed = await Promise.all(this.watched.map((each) => each.look()));
    if (changed.includes(true)) this.use();
    this.lookLater();
  }

  private use(): void {
    const lists = this.watched.flatMap((each) => each.lists);
    this.current = new WordFilter(lists, this.folder);
    const words = lists.map(({ name, size }) => `${name}: ${size}`);
    this.options.log.info({ words }, 'word lists in use');
  }
}
