/**
 * Hands out a bundle as it is read from MySQL, chunk by chunk: as the spec's JSON object, or as a record
 * on each line (NDJSON). A bundle that turns out incomplete ends the stream with an error, never with
 * something that looks whole.
 */
import { openChunk } from '../activities/encryption/bundle-cipher';
import { BUNDLE_STATE, BundleGoneError } from '../activities/mysql/export-bundles';
import type { Bundle, ExportBundles } from '../activities/mysql/export-bundles';
import { exportDate, RECORD_NAMES, SECTIONS } from '../domain/export';
import type { Section } from '../domain/export';
import type { ExportKeys } from './export-keys';
import { CHUNK_BYTES } from './write-export';

/** More than a chunk and its last record come to. */
const MAX_CHUNK_BYTES = 2 * CHUNK_BYTES;
const NEWLINE = 0x0a;

export type ExportForm = 'json' | 'ndjson';

export interface ExportReaderDeps {
  readonly bundles: Pick<ExportBundles, 'find' | 'chunk'>;
  readonly exportKeys: ExportKeys;
  readonly now: () => number;
}

interface OpenedChunk {
  readonly section: Section;
  readonly text: Buffer;
}

export class ExportReader {
  constructor(private readonly deps: ExportReaderDeps) {}

  /**
   * The bundle's text in pieces. Rejects with {@link BundleGoneError}, before the first piece, when the
   * bundle has expired, was removed, or its key was destroyed.
   */
  async read(bundleId: string, form: ExportForm): Promise<AsyncIterable<string | Buffer>> {
    const { bundles, exportKeys, now } = this.deps;
    const bundle = await bundles.find(bundleId);
    if (bundle?.state !== BUNDLE_STATE.complete || bundle.expiresAt <= now()) {
      throw new BundleGoneError('there is no such bundle any more');
    }
    const key = await exportKeys.of(bundle);
    const open = async (chunk: number): Promise<OpenedChunk> => {
      const stored = await bundles.chunk(bundleId, chunk);
      if (!stored) throw new BundleGoneError('the bundle was removed');
      const { section, sealed } = stored;
      const place = { bundleId, userId: bundle.userId, chunk, section };
      return { section, text: await openChunk(sealed, place, key, MAX_CHUNK_BYTES) };
    };
    return form === 'json' ? asJson(bundle, open) : asLines(bundle, open);
  }
}

type Open = (chunk: number) => Promise<OpenedChunk>;

async function* asJson(bundle: Bundle, open: Open): AsyncGenerator<string | Buffer> {
  yield JSON.stringify(headOf(bundle)).slice(0, -1);
  let chunk = 0;
  let opened = chunk < bundle.chunks ? await open(chunk) : undefined;
  for (const section of SECTIONS) {
    yield `,"${section}":[`;
    let isFirst = true;
    while (opened?.section === section) {
      if (!isFirst) yield ',';
      isFirst = false;
      yield withCommas(opened.text);
      chunk += 1;
      opened = chunk < bundle.chunks ? await open(chunk) : undefined;
    }
    yield ']';
  }
  requireWhole(bundle, chunk);
  yield `,"total_messages":${bundle.progress.counts.messages}}\n`;
}

async function* asLines(bundle: Bundle, open: Open): AsyncGenerator<string> {
  yield `${JSON.stringify({ record: 'export', ...headOf(bundle) })}\n`;
  for (let chunk = 0; chunk < bundle.chunks; chunk++) {
    const { section, text } = await open(chunk);
    // Every line is an object: its first character is the brace. Not by `^`, which to JavaScript is also
    // the place after a U+2028 or U+2029, and JSON leaves those in a content as they are.
    const head = `{"record":"${RECORD_NAMES[section]}",`;
    yield head + text.toString().slice(1).replaceAll('\n{', `\n${head}`);
  }
  yield `${JSON.stringify({ record: 'end', total_messages: bundle.progress.counts.messages })}\n`;
}

function headOf({ userId, exportedAt }: Bundle): object {
  return { user_id: userId, export_date: exportDate(exportedAt) };
}

/** The lines as elements of an array, in place: no record has a line break of its own. */
function withCommas(text: Buffer): Buffer {
  const elements = text.subarray(0, -1);
  for (let at = elements.indexOf(NEWLINE); at >= 0; at = elements.indexOf(NEWLINE, at + 1)) {
    elements[at] = 0x2c;
  }
  return elements;
}

function requireWhole({ chunks }: Bundle, read: number): void {
  if (read !== chunks) throw new BundleGoneError('the chunks of the bundle are out of order');
}
