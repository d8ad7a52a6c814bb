/** What `gdprExport` and its activities agree on. Ids and counts only, never content. */
import type { GdprCounts } from './gdpr';
import type { Section } from './export';

/** Type of the failure that says that a bundle was removed while it was written. */
export const BUNDLE_GONE = 'BundleGone';

/** Names an export: the bundle has the id of the job. */
export interface ExportInput {
  readonly jobId: string;
  readonly userId: string;
}

export interface SectionTurn {
  /** Records of the section so far. */
  readonly records: number;
  readonly done: boolean;
}

export interface FinishedBundle {
  readonly counts: GdprCounts;
  /** Until when it can be fetched, unix ms. */
  readonly expiresAt: number;
}

export interface ExportActivities {
  /** Waits until what Kafka has now is stored. */
  exportCatchUp(input: ExportInput): Promise<void>;
  /** Settles what the export shows. */
  exportBegin(input: ExportInput): Promise<void>;
  /** Writes on in a section, for a while. */
  exportSection(input: ExportInput & { readonly section: Section }): Promise<SectionTurn>;
  /** Makes the bundle one that can be fetched. */
  exportFinish(input: ExportInput): Promise<FinishedBundle>;
}
