/** The word lists of one source, kept up to date; a list that is broken keeps its old words. */
import { messageOf } from '../../domain/errors';
import type { Folder } from '../../domain/word-filter/folding';
import { WordList } from '../../domain/word-filter/word-list';
import type { WordListSource } from '../../domain/word-filter/word-list';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import type { ListMarks, ListSource, ReadList } from './list-source';

export interface WatchedListsDeps {
  readonly source: ListSource;
  readonly folder: Folder;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class WatchedLists {
  private current: ReadonlyMap<string, WordList> = new Map();
  /** What was loaded, or found to be broken, and is not tried again. */
  private settled: ListMarks = new Map();
  /** What the last look saw; a list is read once two looks agree, so that it is not half written. */
  private seen: ListMarks = new Map();
  private readable = true;

  constructor(private readonly deps: WatchedListsDeps) {}

  /** The lists in use. */
  get lists(): readonly WordList[] {
    return [...this.current.values()];
  }

  /** Loads all lists; rejects when one is broken: there is no older one to use instead. */
  async open(): Promise<void> {
    const { source } = this.deps;
    const marks = await source.marks();
    const broken = await this.load(marks, marks);
    if (broken.length > 0) throw new Error(`word lists are broken: ${broken.join('; ')}`);
    this.seen = marks;
  }

  /** Takes over what has changed; true when the lists are others than before. Never rejects. */
  async look(): Promise<boolean> {
    const { source, metrics, log } = this.deps;
    try {
      const changed = await this.takeOver(await source.marks());
      this.readable = true;
      return changed;
    } catch (error) {
      metrics.wordListLoads.inc({ outcome: 'unreadable' });
      // Once an outage, not every few seconds.
      if (this.readable) {
        const failure = { source: source.name, err: messageOf(error) };
        log.error(failure, 'word lists not looked at; the old ones stay');
      }
      this.readable = false;
      return false;
    }
  }

  private async takeOver(marks: ListMarks): Promise<boolean> {
    const before = this.seen;
    this.seen = marks;
    const still = [...marks].filter(
      ([name, mark]) => mark !== this.settled.get(name) && mark === before.get(name),
    );
    const removed = [...this.settled.keys()].some((name) => !marks.has(name));
    if (still.length === 0 && !removed) return false;
    await this.load(new Map(still), marks);
    return true;
  }

  /** Reads lists and takes them into use, all at once; returns what is wrong with others. */
  private async load(wanted: ListMarks, marks: ListMarks): Promise<string[]> {
    const { source, log, metrics } = this.deps;
    const next = new Map([...this.current].filter(([name]) => marks.has(name)));
    const settled = new Map([...this.settled].filter(([name]) => marks.has(name)));
    const broken: string[] = [];
    for (const [name, read] of await source.read(wanted)) {
      settled.set(name, marks.get(name) as string);
      try {
        next.set(name, await this.compile(sourceOf(read)));
        metrics.wordListLoads.inc({ outcome: 'loaded' });
      } catch (error) {
        broken.push(`${name}: ${messageOf(error)}`);
        metrics.wordListLoads.inc({ outcome: 'broken' });
        log.error({ list: name, err: messageOf(error) }, 'word list is broken; the old one stays');
      }
    }
    this.settled = settled;
    this.current = next;
    return broken;
  }

  private async compile(source: WordListSource): Promise<WordList> {
    const steps = WordList.compile(source, this.deps.folder);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      // Messages go on meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function sourceOf(read: ReadList): WordListSource {
  if (read instanceof Error) throw read;
  return read;
}
