/** Word lists in the table `word_lists`, the same for all processes. */
import { wordsOf } from '../../domain/word-filter/list-format';
import type { WordAction } from '../../domain/word-filter/word-list';
import { MAX_LISTS } from '../word-lists/list-source';
import type { ListMarks, ListSource, ReadList } from '../word-lists/list-source';
import type { Queryable } from './database';

interface ListRow {
  readonly name: string;
  readonly mark: string;
  readonly action: WordAction;
  readonly wholeWord: number;
  readonly ignoreSeparators: number;
  readonly words: string;
}

/** As text: a time of the driver's has milliseconds only. */
const MARK = 'CAST(changed_at AS CHAR) AS mark';

export class TableLists implements ListSource {
  readonly name = 'table word_lists';

  constructor(private readonly db: Queryable) {}

  async marks(): Promise<ListMarks> {
    const rows = await this.db.select<Pick<ListRow, 'name' | 'mark'>>(
      `SELECT name, ${MARK} FROM word_lists ORDER BY name LIMIT ?`,
      [MAX_LISTS + 1],
    );
    if (rows.length > MAX_LISTS) throw new Error(`there are more than ${MAX_LISTS} word lists`);
    return new Map(rows.map(({ name, mark }) => [name, mark]));
  }

  /** In one statement: lists that one transaction changed are read as it left them. */
  async read(marks: ListMarks): Promise<ReadonlyMap<string, ReadList>> {
    if (marks.size === 0) return new Map();
    const rows = await this.db.select<ListRow>(
      `SELECT name, ${MARK}, action, whole_word AS wholeWord, ignore_separators AS ignoreSeparators,
         words FROM word_lists WHERE name IN (?)`,
      [[...marks.keys()]],
    );
    const same = rows.filter(({ name, mark }) => marks.get(name) === mark);
    return new Map(same.map((row) => [row.name, read(row)]));
  }
}

function read({ name, action, wholeWord, ignoreSeparators, words }: ListRow): ReadList {
  try {
    return {
      name,
      action,
      wholeWord: wholeWord !== 0,
      ignoreSeparators: ignoreSeparators !== 0,
      words: wordsOf(words.split(/\r?\n/)),
    };
  } catch (error) {
    return error as Error;
  }
}
