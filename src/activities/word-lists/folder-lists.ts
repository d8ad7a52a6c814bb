/** The files of a folder of word lists, `NAME.txt` each. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseWordList } from '../../domain/word-filter/list-format';
import type { WordListSource } from '../../domain/word-filter/word-list';
import { MAX_LISTS } from './list-source';
import type { ListMarks, ListSource, ReadList } from './list-source';

const EXTENSION = '.txt';
/** Bytes of one file; 100,000 words are about one MB. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export class FolderLists implements ListSource {
  readonly name = 'folder';

  constructor(private readonly folder: string) {}

  async marks(): Promise<ListMarks> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(EXTENSION)).sort();
    if (names.length > MAX_LISTS) throw new Error(`there are more than ${MAX_LISTS} word lists`);
    const marks = new Map<string, string>();
    for (const file of names) {
      const { ino, size, mtimeNs } = await stat(join(this.folder, file), { bigint: true });
      marks.set(file.slice(0, -EXTENSION.length), `${ino}:${size}:${mtimeNs}`);
    }
    return marks;
  }

  async read(marks: ListMarks): Promise<ReadonlyMap<string, ReadList>> {
    const lists = new Map<string, ReadList>();
    for (const name of marks.keys()) {
      try {
        lists.set(name, await this.readOne(name));
      } catch (error) {
        lists.set(name, error as Error);
      }
    }
    return lists;
  }

  private async readOne(name: string): Promise<WordListSource> {
    const file = join(this.folder, name + EXTENSION);
    if ((await stat(file)).size > MAX_FILE_BYTES) {
      throw new Error(`the file is larger than ${MAX_FILE_BYTES} bytes`);
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
    return parseWordList(name, text);
  }
}
