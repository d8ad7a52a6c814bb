/** Where word lists are kept; several places may have some. */
import type { WordListSource } from '../../domain/word-filter/word-list';

/** Lists by name, each with a mark that changes whenever the list does. */
export type ListMarks = ReadonlyMap<string, string>;

/** A list, or what is wrong with it. */
export type ReadList = WordListSource | Error;

export interface ListSource {
  /** For logs: what cannot be looked at. */
  readonly name: string;
  /** What lists there are now; rejects when that cannot be told. */
  marks(): Promise<ListMarks>;
  /** These lists as of one moment; without those that have changed since they were marked. */
  read(marks: ListMarks): Promise<ReadonlyMap<string, ReadList>>;
}

/** Lists of one source: each costs every message a search. */
export const MAX_LISTS = 50;
