/** A list of words made ready to be looked for. */
import { AhoCorasick } from './aho-corasick';
import type { FoldedText, Folder } from './folding';

/** What is done with a message that has a word of the list. */
export type WordAction = 'replace' | 'block' | 'audit';

export interface WordListOptions {
  readonly action: WordAction;
  /** Only words that stand alone: "ass" not in "assassin". For languages with spaces. */
  readonly wholeWord: boolean;
  /** Also "b.a d" for "bad". Finds words across spaces, too: "pen is". */
  readonly ignoreSeparators: boolean;
}

export interface WordListSource extends WordListOptions {
  readonly name: string;
  readonly words: readonly string[];
}

/** A list cannot be used; the message says what is wrong and where, for its author. */
export class WordListError extends Error {
  override readonly name = 'WordListError';
}

/** UTF-16 units of one folded word. */
const MAX_WORD_UNITS = 200;
/** Words folded between two breaks: about a ms of work. */
const WORDS_A_STEP = 2_000;
/** What stands for words replaced; it never is part of a word, or replacing would make new ones. */
export const REPLACEMENT = '***';
const REPLACEMENT_UNIT = REPLACEMENT.charCodeAt(0);

const WORD_CHAR = /[\p{L}\p{N}\p{M}_]/u;
const SEPARATOR = /[\p{Z}\p{P}\p{S}\p{Cc}]/u;

/** A range of UTF-16 units of the original text. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A text, folded, with and without its separators; made once for all lists. */
export class SearchText {
  readonly folded: FoldedText;
  private squeezed: FoldedText | undefined;

  constructor(
    readonly original: string,
    readonly folder: Folder,
  ) {
    this.folded = folder.fold(original);
  }

  withoutSeparators(): FoldedText {
    this.squeezed ??= squeeze(this.folded);
    return this.squeezed;
  }
}

export class WordList {
  private constructor(
    readonly name: string,
    readonly options: WordListOptions,
    /** Distinct folded words. */
    readonly size: number,
    private readonly automaton: AhoCorasick,
  ) {}

  /** Throws {@link WordListError}. Yields now and then, as {@link AhoCorasick.build} does. */
  static *compile(source: WordListSource, folder: Folder): Generator<void, WordList> {
    const folded = new Set<string>();
    for (const [i, word] of source.words.entries()) {
      if (i % WORDS_A_STEP === 0) yield;
      folded.add(foldWord(word, source, folder));
    }
    const automaton = yield* AhoCorasick.build([...folded]);
    return new WordList(source.name, source, folded.size, automaton);
  }

  /** Where words of the list stand in the original text, by the order of their ends. */
  find(text: SearchText): Range[] {
    const searched = this.options.ignoreSeparators ? text.withoutSeparators() : text.folded;
    const ranges: Range[] = [];
    this.automaton.search(searched.units, searched.length, (from, to) => {
      const start = searched.starts[from] as number;
      const end = searched.ends[to - 1] as number;
      if (!this.options.wholeWord || standsAlone(text, start, end)) ranges.push({ start, end });
    });
    return ranges;
  }
}

function foldWord(word: string, { ignoreSeparators }: WordListOptions, folder: Folder): string {
  const plain = folder.fold(word);
  const { units, length } = ignoreSeparators ? squeeze(plain) : plain;
  if (length === 0)
    throw new WordListError(`a word has nothing to look for: ${JSON.stringify(word)}`);
  if (length > MAX_WORD_UNITS) throw new WordListError(`a word is longer than ${MAX_WORD_UNITS}`);
  let folded = '';
  for (let i = 0; i < length; i++) {
    if (units[i] === REPLACEMENT_UNIT) {
      throw new WordListError(
        `a word has "*", which stands for what is replaced: ${JSON.stringify(word)}`,
      );
    }
    folded += String.fromCharCode(units[i] as number);
  }
  return folded;
}

/** Without separators, but for the mark of a replacement: what stood around it never becomes a word. */
function squeeze({ units, starts, ends, length }: FoldedText): FoldedText {
  const kept = { units: units.slice(), starts: starts.slice(), ends: ends.slice(), length: 0 };
  for (let i = 0; i < length; i++) {
    const unit = units[i] as number;
    if (unit !== REPLACEMENT_UNIT && isSeparator(unit)) continue;
    kept.units[kept.length] = unit;
    kept.starts[kept.length] = starts[i] as number;
    kept.ends[kept.length] = ends[i] as number;
    kept.length += 1;
  }
  return kept;
}

function isSeparator(unit: number): boolean {
  // ASCII letters, by far the most, need no look at Unicode's tables.
  if (unit >= 0x61 && unit <= 0x7a) return false;
  return SEPARATOR.test(String.fromCharCode(unit));
}

function standsAlone({ original, folder }: SearchText, start: number, end: number): boolean {
  const first = String.fromCodePoint(original.codePointAt(start) as number);
  const last = lastCodePoint(original, end);
  const before = visibleBefore(original, start, folder);
  const after = visibleAfter(original, end, folder);
  return !(isWordChar(before) && isWordChar(first)) && !(isWordChar(last) && isWordChar(after));
}

function isWordChar(char: string): boolean {
  return WORD_CHAR.test(char);
}

/** The last code point before `at` that folding keeps; '' at the beginning. */
function visibleBefore(text: string, at: number, folder: Folder): string {
  let end = at;
  while (end > 0) {
    const char = lastCodePoint(text, end);
    if (!folder.ignores(char.codePointAt(0) as number)) return char;
    end -= char.length;
  }
  return '';
}

/** The first code point from `at` that folding keeps; '' at the end. */
function visibleAfter(text: string, at: number, folder: Folder): string {
  let from = at;
  while (from < text.length) {
    const code = text.codePointAt(from) as number;
    if (!folder.ignores(code)) return String.fromCodePoint(code);
    from += code > 0xffff ? 2 : 1;
  }
  return '';
}

function lastCodePoint(text: string, end: number): string {
  const code = text.codePointAt(end - 2);
  return code !== undefined && code > 0xffff ? text.slice(end - 2, end) : text.slice(end - 1, end);
}
