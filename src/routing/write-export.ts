/**
 * Writes the bundle of an export, section by section, in chunks of bounded size. Every chunk is stored
 * together with the place after it, so an attempt goes on where the one before it ended, and the marks
 * that were set at the beginning make what it reads the same.
 */
import type { KeyObject } from 'node:crypto';
import { sealChunk } from '../activities/encryption/bundle-cipher';
import { BundleGoneError, ReadAgainError } from '../activities/mysql/export-bundles';
import type { Bundle, ExportBundles, Progress } from '../activities/mysql/export-bundles';
import { SCANS } from '../activities/mysql/export-rows';
import type { ExportRow, ExportRows } from '../activities/mysql/export-rows';
import {
  NO_RECORDS,
  SECTIONS,
  wireAudit,
  wireDevice,
  wireMessage,
  wireReceipt,
} from '../domain/export';
import type { DeviceSpan, ExportedMessage, Section, SectionCounts } from '../domain/export';
import type { ContentKeys } from './content-keys';
import type { ExportKeys } from './export-keys';

/** Text of one chunk, bytes; the record that reaches it still goes in. */
export const CHUNK_BYTES = 1 << 20;
/** How long one call writes before it hands back, ms: so often the workflow tells how far it is. */
const TURN_MS = 30_000;
/** How often a turn is begun again because something in it is erased. */
const READS = 10;
/** Complete bundles of one user that are kept: the newest. */
const KEPT_BUNDLES = 3;

export interface ExportWriterDeps {
  readonly rows: Pick<ExportRows, 'marks' | 'page' | 'withoutErased'>;
  readonly bundles: Pick<ExportBundles, 'begin' | 'find' | 'advance' | 'complete' | 'removeOlder'>;
  readonly exportKeys: ExportKeys;
  readonly content: Pick<ContentKeys, 'open'>;
  /** How long a bundle can be fetched, ms. */
  readonly ttlMs: number;
  readonly now: () => number;
}

export interface SectionProgress {
  readonly counts: SectionCounts;
  /** Whether the section is written to its end. */
  readonly done: boolean;
}

export interface CompleteBundle {
  readonly counts: SectionCounts;
  readonly chunks: number;
  /** unix ms */
  readonly expiresAt: number;
}

export class ExportWriter {
  constructor(private readonly deps: ExportWriterDeps) {}

  /** Settles what the export shows: everything stored up to now. May be repeated. */
  async begin(bundleId: string, userId: string): Promise<void> {
    const { rows, bundles, exportKeys, ttlMs, now } = this.deps;
    if (await bundles.find(bundleId)) return;
    await bundles.begin({
      bundleId,
      userId,
      ...(await exportKeys.create(userId)),
      marks: await rows.marks(),
      progress: startOf(SECTIONS[0], NO_RECORDS),
      exportedAt: now(),
      expiresAt: now() + ttlMs,
    });
  }

  /**
   * Writes on in a section, for a while; says whether it is done. Rejects with {@link BundleGoneError}
   * when the bundle was removed meanwhile.
   */
  async write(bundleId: string, section: Section, signal: AbortSignal): Promise<SectionProgress> {
    for (let read = 1; ; read++) {
      const bundle = await this.bundle(bundleId);
      const { progress } = bundle;
      if (progress.section !== section) return { counts: progress.counts, done: true };
      const key = await this.deps.exportKeys.of(bundle);
      try {
        return await new SectionWriter(this.deps, bundle, key, section, read > 1).run(signal);
      } catch (error) {
        if (!(error instanceof ReadAgainError) || read === READS) throw error;
      }
    }
  }

  /** Makes the bundle one that can be fetched, from now on for the time it is kept. May be repeated. */
  async complete(bundleId: string): Promise<CompleteBundle> {
    const expiresAt = this.deps.now() + this.deps.ttlMs;
    await this.deps.bundles.complete(bundleId, expiresAt);
    const { userId, progress, chunks, expiresAt: kept } = await this.bundle(bundleId);
    await this.deps.bundles.removeOlder(userId, KEPT_BUNDLES);
    return { counts: progress.counts, chunks, expiresAt: kept };
  }

  private async bundle(bundleId: string): Promise<Bundle> {
    const bundle = await this.deps.bundles.find(bundleId);
    if (!bundle) throw new BundleGoneError('the bundle was removed');
    return bundle;
  }
}

/** One turn of writing: the chunk at hand, and what is to be remembered with it. */
class SectionWriter {
  private chunks: number;
  private counts: Record<Section, number>;
  private lines: Buffer[] = [];
  private bytes = 0;
  private readonly devices = new Map<string, DeviceSpan>();
  private readonly senders = new Set<string>();
  private msgIds: string[] = [];

  constructor(
    private readonly deps: ExportWriterDeps,
    private readonly bundle: Bundle,
    private readonly key: KeyObject,
    private readonly section: Section,
    /** To look for what is being erased: spared as long as nothing is. */
    private readonly careful: boolean,
  ) {
    this.chunks = bundle.chunks;
    this.counts = { ...bundle.progress.counts };
  }

  async run(signal: AbortSignal): Promise<SectionProgress> {
    const { rows, now } = this.deps;
    const until = now() + TURN_MS;
    const scans = SCANS[this.section];
    let { scan, after } = this.bundle.progress;
    for (let name = scans[scan]; name !== undefined; name = scans[scan]) {
      const page = await rows.page(name, this.bundle, after);
      const shown = this.careful ? await rows.withoutErased(page.rows) : page.rows;
      for (const { line, after: place } of await this.linesOf(shown)) {
        this.add(line);
        if (this.bytes >= CHUNK_BYTES) await this.flush({ scan, after: place });
      }
      if (page.next === undefined) scan += 1;
      after = page.next ?? [];
      if (signal.aborted || now() > until) {
        await this.flush({ scan, after });
        return { counts: this.counts, done: false };
      }
    }
    const next = SECTIONS[SECTIONS.indexOf(this.section) + 1] ?? 'end';
    await this.flush({ section: next, scan: 0, after: [] });
    return { counts: this.counts, done: true };
  }

  private async linesOf(
    rows: readonly ExportRow[],
  ): Promise<{ line: object; after: Progress['after'] }[]> {
    const stored = rows.filter((each) => each.kind === 'message');
    const opened = await this.deps.content.open(stored.map(({ row }) => row.message));
    const messages = opened.values();
    return rows.map((each) => ({ line: this.lineOf(each, messages), after: each.after }));
  }

  private lineOf(each: ExportRow, opened: Iterator<ExportedMessage['message']>): object {
    const { userId } = this.bundle;
    switch (each.kind) {
      case 'message': {
        const { type, deliveredAt, readAt, devices } = each.row;
        const message = opened.next().value as ExportedMessage['message'];
        // Of what was erased before, nothing is left that would have to go.
        if (!message.erased) this.senders.add(message.senderId);
        this.msgIds.push(message.msgId);
        for (const device of devices) this.sawDevice(device, deliveredAt ?? message.acceptedAt);
        return wireMessage({ type, message, deliveredAt, readAt }, userId);
      }
      case 'receipt': {
        const { type, receipt } = each.row;
        this.msgIds.push(receipt.msgId);
        if (type === 'given' && receipt.deviceId !== '') {
          this.sawDevice(receipt.deviceId, receipt.readAt);
        }
        return wireReceipt(type, receipt);
      }
      case 'device':
        return wireDevice(each.row);
      case 'audit':
        return wireAudit(each.row, userId);
    }
  }

  private sawDevice(deviceId: string, at: number): void {
    const { firstSeen = at, lastSeen = at } = this.devices.get(deviceId) ?? {};
    this.devices.set(deviceId, {
      deviceId,
      firstSeen: Math.min(firstSeen, at),
      lastSeen: Math.max(lastSeen, at),
    });
  }

  private add(line: object): void {
    const text = Buffer.from(`${JSON.stringify(line)}\n`);
    this.lines.push(text);
    this.bytes += text.length;
    this.counts[this.section] += 1;
  }

  /** Stores what is at hand and the place after it. */
  private async flush(place: Partial<Progress> & Pick<Progress, 'scan' | 'after'>): Promise<void> {
    const { bundles, ttlMs, now } = this.deps;
    const { bundleId, userId } = this.bundle;
    const { section, chunks } = this;
    const at = { bundleId, userId, chunk: chunks, section };
    const text = Buffer.concat(this.lines);
    const sealed = text.length > 0 ? await sealChunk(text, at, this.key) : undefined;
    await bundles.advance(
      { bundleId, userId, chunks },
      {
        progress: { section, counts: this.counts, ...place },
        chunk: sealed && { section, sealed },
        devices: [...this.devices.values()],
        senders: [...this.senders],
        msgIds: this.msgIds,
        expiresAt: now() + ttlMs,
      },
    );
    if (sealed) this.chunks += 1;
    this.lines = [];
    this.bytes = 0;
    this.devices.clear();
    this.senders.clear();
    this.msgIds = [];
  }
}

function startOf(section: Section, counts: SectionCounts): Progress {
  return { section, scan: 0, after: [], counts };
}
