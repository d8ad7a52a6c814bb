/**
 * The word filter's time for a message: it grows with the text, not with the list.
 * Run: `npm run bench -- word-filter`.
 */
import { performance } from 'node:perf_hooks';
import { Folder } from '../src/domain/word-filter/folding';
import { WordFilter } from '../src/domain/word-filter/word-filter';
import { WordList } from '../src/domain/word-filter/word-list';

const LIST_SIZES = [100, 1_000, 10_000, 100_000];
const TEXT_SIZES = [1_280, 2_560, 5_120, 10_240];
/** How long each case is measured, ms; the cases take turns, so that a slow moment hits all. */
const MEASURE_MS = 150;
const ROUNDS = 5;

/** mulberry32: the same words and texts in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const random = generator(1);
const pick = (text: string): string => text[Math.floor(random() * text.length)] as string;

function letters(count: number): string {
  return Array.from({ length: count }, () => pick('aabcdeeefghiijklmnoopqrsttuvwxyz')).join('');
}

function distinctWords(count: number): string[] {
  const words = new Set<string>();
  while (words.size < count) words.add(letters(6 + Math.floor(random() * 8)));
  return [...words];
}

/** Words and spaces, with capitals and accents, of so many bytes of UTF-8. */
function textOf(bytes: number): string {
  let text = '';
  while (Buffer.byteLength(text) < bytes) {
    text += `${letters(1 + Math.floor(random() * 9))}${pick('éABÜ. ,!')} `;
  }
  return text.slice(0, bytes);
}

interface Built {
  readonly filter: WordFilter;
  readonly ms: number;
  readonly longestStepMs: number;
}

function build(words: readonly string[], folder: Folder): Built {
  const options = { action: 'replace', wholeWord: false, ignoreSeparators: false } as const;
  const steps = WordList.compile({ name: 'bench', ...options, words }, folder);
  const began = performance.now();
  let longestStepMs = 0;
  for (;;) {
    const before = performance.now();
    const step = steps.next();
    longestStepMs = Math.max(longestStepMs, performance.now() - before);
    if (!step.done) continue;
    const filter = new WordFilter([step.value], folder);
    return { filter, ms: performance.now() - began, longestStepMs };
  }
}

/** The least time of a message over some time of repeating it, µs. */
function timeOf(filter: WordFilter, text: string): number {
  const end = performance.now() + MEASURE_MS;
  let least = Infinity;
  while (performance.now() < end) {
    const before = performance.now();
    for (let i = 0; i < 5; i++) filter.screen(text);
    least = Math.min(least, ((performance.now() - before) * 1_000) / 5);
  }
  return least;
}

function main(): void {
  const folder = new Folder();
  const words = distinctWords(Math.max(...LIST_SIZES));
  const memoryBefore = process.memoryUsage().arrayBuffers;
  const filters = LIST_SIZES.map((size) => ({ size, ...build(words.slice(0, size), folder) }));
  const largest = filters.at(-1) as (typeof filters)[number];
  const megabytes = (process.memoryUsage().arrayBuffers - memoryBefore) / 1e6;
  console.log(
    `build ${largest.size} words: ${largest.ms.toFixed(0)} ms, longest step ${largest.longestStepMs.toFixed(0)} ms; ` +
      `columns of all lists ${megabytes.toFixed(0)} MB`,
  );
  // None of the texts has a listed word: replacing is not what is measured.
  const clean = (text: string): boolean => !largest.filter.screen(text).replaced;
  const texts = TEXT_SIZES.map((size) => {
    let text = textOf(size);
    while (!clean(text)) text = largest.filter.screen(text).content;
    return { size, text };
  });
  const best = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { size: list, filter } of filters) {
      for (const { size, text } of texts) {
        const name = `${list}/${size}`;
        best.set(name, Math.min(best.get(name) ?? Infinity, timeOf(filter, text)));
      }
    }
  }
  console.log(
    `µs a message\n${'list'.padStart(8)}${TEXT_SIZES.map((t) => `${t} B`.padStart(10)).join('')}`,
  );
  for (const list of LIST_SIZES) {
    const row = TEXT_SIZES.map((t) => (best.get(`${list}/${t}`) ?? 0).toFixed(0).padStart(10));
    console.log(`${String(list).padStart(8)}${row.join('')}`);
  }
  const ratio = (a: string, b: string): string =>
    ((best.get(a) ?? 0) / (best.get(b) ?? 1)).toFixed(2);
  console.log(`list x 1,000 (10 KB text): time x ${ratio('100000/10240', '100/10240')}`);
  console.log(`text x 8 (100,000 words): time x ${ratio('100000/10240', '100000/1280')}`);
}

main();
