/** The files of a folder of word lists, `NAME.txt` each. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

const EXTENSION = '.txt';
/** Lists of one folder: each costs every message a search. */
const MAX_LISTS = 50;
/** Bytes of one file; 100,000 words are about one MB. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Lists by name, each with a mark that changes whenever the file does. */
export type ListMarks = ReadonlyMap<string, string>;

/** What lists there are now; rejects when the folder cannot be read. */
export async function listMarks(folder: string): Promise<ListMarks> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(EXTENSION)).sort();
  if (names.length > MAX_LISTS) throw new Error(`there are more than ${MAX_LISTS} word lists`);
  const marks = new Map<string, string>();
  for (const file of names) {
    const { ino, size, mtimeNs } = await stat(join(folder, file), { bigint: true });
    marks.set(file.slice(0, -EXTENSION.length), `${ino}:${size}:${mtimeNs}`);
  }
  return marks;
}

/** The text of a list; rejects when it is too large or not UTF-8. */
export async function readList(folder: string, name: string): Promise<string> {
  const file = join(folder, name + EXTENSION);
  if ((await stat(file)).size > MAX_FILE_BYTES) {
    throw new Error(`the file is larger than ${MAX_FILE_BYTES} bytes`);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
}
