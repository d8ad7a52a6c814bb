/** Exports without their workflow: the writer and the reader on a real MySQL. */
import { ExportBundles } from '../../src/activities/mysql/export-bundles';
import { ExportRows } from '../../src/activities/mysql/export-rows';
import type { Database } from '../../src/activities/mysql/database';
import { SECTIONS } from '../../src/domain/export';
import { ExportKeys } from '../../src/routing/export-keys';
import { ExportReader } from '../../src/routing/read-export';
import type { ExportForm } from '../../src/routing/read-export';
import { ExportWriter } from '../../src/routing/write-export';
import { openEncryption } from './encryption';
import { unique } from './ids';

const HOUR_MS = 3_600_000;

export interface ExportParts {
  readonly writer: ExportWriter;
  readonly reader: ExportReader;
  readonly bundles: ExportBundles;
}

/** Each call is a process of its own. */
export async function exportParts(
  db: Database,
  env: Parameters<typeof openEncryption>[1] = {},
  now: () => number = Date.now,
): Promise<ExportParts> {
  const { keys, rows: keyRows, content } = await openEncryption(db, env);
  const exportKeys = new ExportKeys({ keys, rows: keyRows, sealing: env.ENCRYPTION === 'on' });
  const bundles = new ExportBundles(db);
  const rows = new ExportRows(db);
  return {
    bundles,
    reader: new ExportReader({ bundles, exportKeys, now }),
    writer: new ExportWriter({ rows, bundles, exportKeys, content, ttlMs: HOUR_MS, now }),
  };
}

/** Writes a whole bundle; resolves to its id. */
export async function writeBundle(
  { writer }: ExportParts,
  userId: string,
  bundleId = unique('bundle'),
): Promise<string> {
  await writer.begin(bundleId, userId);
  await writeSections(writer, bundleId);
  return bundleId;
}

/** Writes all that is left of a bundle. */
export async function writeSections(writer: ExportWriter, bundleId: string): Promise<void> {
  const signal = new AbortController().signal;
  for (const section of SECTIONS) {
    while (!(await writer.write(bundleId, section, signal)).done);
  }
  await writer.complete(bundleId);
}

export async function readBundle(
  { reader }: ExportParts,
  bundleId: string,
  form: ExportForm = 'json',
): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of await reader.read(bundleId, form)) pieces.push(piece.toString());
  return pieces.join('');
}
