/** What the retention workflow and its activities agree on: times and counts only. */

export const RETENTION_WORKFLOW = 'retention';

/** Where the next page of a class begins: at this time (unix ms), after so many rows that stay. */
export interface AgePlace {
  readonly time: number;
  readonly skip: number;
}

/** What a page of a class came to. */
export interface PurgePage<Place = AgePlace> {
  readonly removed: number;
  /** Past their time, but under a legal hold. */
  readonly held: number;
  /** `undefined` after the last page. */
  readonly next?: Place;
}

export interface PurgeInput<Place = AgePlace> {
  readonly after?: Place;
}

/** One activity for each class of data; each removes one page, and may be repeated. */
export interface RetentionActivities {
  /** Ends the wait of messages past their time; pages are of users. */
  expireInbox(input: PurgeInput<string>): Promise<PurgePage<string>>;
  purgeInbox(input: PurgeInput): Promise<PurgePage>;
  purgeMessages(input: PurgeInput): Promise<PurgePage>;
  purgeReceipts(input: PurgeInput): Promise<PurgePage>;
  purgeReadSummaries(input: PurgeInput): Promise<PurgePage>;
  purgeErasureConfirmations(input: PurgeInput): Promise<PurgePage>;
  purgeGroupLogs(input: PurgeInput): Promise<PurgePage>;
  /** Ids of deleted messages, once no copy can come back. */
  purgeErasedIds(input: PurgeInput): Promise<PurgePage>;
  /** Exports past their time; `removed` counts the rows of their bundles. */
  purgeExportBundles(input: PurgeInput): Promise<PurgePage>;
  purgeGdprJobs(input: PurgeInput): Promise<PurgePage>;
}

export type RetentionClass = keyof RetentionActivities;

/** In this order: an inbox row goes before its message. */
export const RETENTION_CLASSES = [
  'expireInbox',
  'purgeInbox',
  'purgeMessages',
  'purgeReceipts',
  'purgeReadSummaries',
  'purgeGroupLogs',
  'purgeErasedIds',
  'purgeErasureConfirmations',
  'purgeExportBundles',
  'purgeGdprJobs',
] as const satisfies readonly RetentionClass[];

/** What each class came to; `failed` when its pages could not be removed now. */
export type RetentionResult = Partial<
  Record<RetentionClass, { readonly removed: number; readonly held: number; failed?: true }>
>;

/** Failure type: some classes could not be purged; the others were. */
export const CLASSES_LEFT = 'ClassesLeft';
