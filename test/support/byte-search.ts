/** Looks for bytes in the raw files of servers. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The files under a folder that hold `needle`, and how many files were read. */
export async function searchFiles(
  folder: string,
  needle: string,
  skip: (path: string) => boolean = () => false,
): Promise<{ hits: string[]; read: number }> {
  if (needle === '') throw new Error('nothing to look for');
  const hits: string[] = [];
  let read = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || skip(path)) continue;
    read += 1;
    if (await contains(path, Buffer.from(needle))) hits.push(path);
  }
  return { hits, read };
}

async function contains(path: string, needle: Buffer): Promise<boolean> {
  let tail = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      const text = Buffer.concat([tail, chunk as Buffer]);
      if (text.includes(needle)) return true;
      tail = text.subarray(Math.max(0, text.length - needle.length + 1));
    }
  } catch (error) {
    // Servers delete files of their own while we look.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return false;
}
