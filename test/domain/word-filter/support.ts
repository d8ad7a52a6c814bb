/** Filters for tests. */
import { Folder } from '../../../src/domain/word-filter/folding';
import { WordFilter } from '../../../src/domain/word-filter/word-filter';
import { WordList } from '../../../src/domain/word-filter/word-list';
import type { WordListSource } from '../../../src/domain/word-filter/word-list';

export const folder = new Folder();

/** A compiled list; it replaces, anywhere, unless told otherwise. */
export function list(words: readonly string[], given: Partial<WordListSource> = {}): WordList {
  const source: WordListSource = {
    name: 'test',
    action: 'replace',
    wholeWord: false,
    ignoreSeparators: false,
    ...given,
    words,
  };
  const steps = WordList.compile(source, folder);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

export function filter(...lists: WordList[]): WordFilter {
  return new WordFilter(lists, folder);
}
