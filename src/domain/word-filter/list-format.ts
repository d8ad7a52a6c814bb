/**
 * The text of a word list: UTF-8, a header, an empty line, then one word or phrase a line.
 *
 *     # Lines that begin with "#" are comments, in the header and among the words.
 *     action: replace
 *     whole-word: yes
 *     ignore-separators: no
 *
 *     first word
 *     second
 *
 * `action` is replace, block or audit and must be there; the others are yes or no, and no unless said.
 */
import { WordListError } from './word-list';
import type { WordAction, WordListSource } from './word-list';

const ACTIONS: readonly WordAction[] = ['replace', 'block', 'audit'];
const HEADERS = ['action', 'whole-word', 'ignore-separators'];
/** Words of one list; well above the 100,000 that are planned for. */
const MAX_WORDS = 500_000;

/** Reads a list; throws {@link WordListError} with the line that is wrong. */
export function parseWordList(name: string, text: string): WordListSource {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const blank = lines.findIndex((line) => line.trim() === '');
  if (blank < 0) throw new WordListError('there is no empty line between header and words');
  const header = parseHeader(lines.slice(0, blank));
  const words = wordsOf(lines.slice(blank + 1));
  return {
    name,
    action: actionOf(header.get('action')),
    wholeWord: yesOrNo(header, 'whole-word'),
    ignoreSeparators: yesOrNo(header, 'ignore-separators'),
    words,
  };
}

/** The words of a list, one a line; throws {@link WordListError}. */
export function wordsOf(lines: readonly string[]): string[] {
  const words = lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (words.length > MAX_WORDS) throw new WordListError(`there are more than ${MAX_WORDS} words`);
  return words;
}

function parseHeader(lines: readonly string[]): Map<string, string> {
  const header = new Map<string, string>();
  for (const [i, line] of lines.entries()) {
    if (line.startsWith('#')) continue;
    const [, key, value] = /^([a-z-]+)\s*:\s*(\S+)\s*$/.exec(line) ?? [];
    if (key === undefined || value === undefined || !HEADERS.includes(key) || header.has(key)) {
      throw new WordListError(`line ${i + 1} is not one of the headers ${HEADERS.join(', ')}`);
    }
    header.set(key, value);
  }
  return header;
}

function actionOf(value: string | undefined): WordAction {
  const action = ACTIONS.find((known) => known === value);
  if (!action) throw new WordListError(`action is not one of ${ACTIONS.join(', ')}`);
  return action;
}

function yesOrNo(header: ReadonlyMap<string, string>, name: string): boolean {
  const value = header.get(name) ?? 'no';
  if (value !== 'yes' && value !== 'no') throw new WordListError(`${name} is neither yes nor no`);
  return value === 'yes';
}
