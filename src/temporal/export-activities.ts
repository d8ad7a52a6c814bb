/** The activities of `gdprExport`, as Temporal calls them. */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity';
import type { ConsumerProgress } from '../activities/kafka/consumer-progress';
import { BundleGoneError } from '../activities/mysql/export-bundles';
import { BUNDLE_GONE } from '../domain/export-workflow';
import type { ExportActivities } from '../domain/export-workflow';
import type { Logger } from '../logger';
import type { ExportWriter } from '../routing/write-export';
import { inSystem } from './gdpr-activities';

/** How long one attempt waits for the consumers, ms; the workflow makes the next one, and says so. */
const CATCH_UP_MS = 20_000;

export interface ExportActivityDeps {
  readonly progress: ConsumerProgress;
  readonly writer: ExportWriter;
  readonly log: Logger;
}

export function createExportActivities({
  progress,
  writer,
  log,
}: ExportActivityDeps): ExportActivities {
  const inMysql = <T>(work: () => Promise<T>): Promise<T> =>
    inSystem('mysql', log, async () => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof BundleGoneError)) throw error;
        throw ApplicationFailure.nonRetryable(error.message, BUNDLE_GONE);
      }
    });
  return {
    exportCatchUp: () =>
      inSystem('kafka', log, () => progress.caughtUp(CATCH_UP_MS, cancellationSignal())),
    exportBegin: ({ jobId, userId }) => inMysql(() => writer.begin(jobId, userId)),
    exportSection: ({ jobId, section }) =>
      inMysql(async () => {
        const { counts, done } = await writer.write(jobId, section, cancellationSignal());
        return { records: counts[section], done };
      }),
    exportFinish: ({ jobId }) =>
      inMysql(async () => {
        const { counts, chunks, expiresAt } = await writer.complete(jobId);
        return { counts: { ...counts, chunks }, expiresAt };
      }),
  };
}
