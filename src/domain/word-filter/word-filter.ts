/** All word lists together: what becomes of a text. */
import type { Folder } from './folding';
import { REPLACEMENT, SearchText } from './word-list';
import type { Range, WordAction, WordList } from './word-list';

export interface Screening {
  /** With `***` for what lists of action `replace` name; otherwise as it was, to the last bit. */
  readonly content: string;
  /** The list that refuses the text. */
  readonly blockedBy: string | undefined;
  /** The lists of action `audit` that have a word of it. */
  readonly auditedBy: readonly string[];
  readonly replaced: boolean;
}

export class WordFilter {
  private readonly lists: Readonly<Record<WordAction, readonly WordList[]>>;

  constructor(
    lists: readonly WordList[],
    private readonly folder: Folder,
  ) {
    const having = (action: WordAction): WordList[] =>
      lists.filter((list) => list.options.action === action);
    this.lists = { replace: having('replace'), block: having('block'), audit: having('audit') };
  }

  screen(content: string): Screening {
    const { replace, block, audit } = this.lists;
    if (replace.length + block.length + audit.length === 0) return passed(content);
    const text = new SearchText(content, this.folder);
    const has = (list: WordList): boolean => list.find(text).length > 0;
    const blockedBy = block.find(has)?.name;
    if (blockedBy !== undefined) return { ...passed(content), blockedBy };
    const auditedBy = audit.filter(has).map((list) => list.name);
    const cleaned = replace.length > 0 ? this.replaceAll(text) : content;
    return { content: cleaned, blockedBy: undefined, auditedBy, replaced: cleaned !== content };
  }

  /**
   * Replaces until nothing is left: a replaced neighbor can make a whole word of a part. Ends, because
   * each round makes fewer the code points that are not part of a `***`, and no word has one.
   */
  private replaceAll(first: SearchText): string {
    let text = first;
    for (;;) {
      const current = text;
      const ranges = merged(this.lists.replace.flatMap((list) => list.find(current)));
      if (ranges.length === 0) return text.original;
      text = new SearchText(replaced(text.original, ranges), this.folder);
    }
  }
}

function passed(content: string): Screening {
  return { content, blockedBy: undefined, auditedBy: [], replaced: false };
}

/** The ranges in order, those that overlap or touch as one. */
function merged(ranges: readonly Range[]): Range[] {
  const result: { start: number; end: number }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

function replaced(text: string, ranges: readonly Range[]): string {
  let result = '';
  let at = 0;
  for (const { start, end } of ranges) {
    result += text.slice(at, start) + REPLACEMENT;
    at = end;
  }
  return result + text.slice(at);
}
