/** The activities of `gdprExport`, as Temporal calls them. */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity';
import { ConsumersBehindError } from '../activities/kafka/consumer-progress';
import type { ConsumerProgress } from '../activities/kafka/consumer-progress';
import type { Database } from '../activities/mysql/database';
import { BundleGoneError } from '../activities/mysql/export-bundles';
import { BUNDLE_GONE } from '../domain/export-workflow';
import type { ExportActivities } from '../domain/export-workflow';
import { ofSystem } from '../domain/gdpr';
import type { Logger } from '../logger';
import type { ExportWriter } from '../routing/write-export';
import { inSystem } from './gdpr-activities';

/** How long one attempt waits for the consumers, ms; the workflow makes the next one, and says so. */
const CATCH_UP_MS = 20_000;

export interface ExportActivityDeps {
  readonly progress: Pick<ConsumerProgress, 'caughtUp'>;
  readonly database: Pick<Database, 'ping'>;
  readonly writer: ExportWriter;
  readonly log: Logger;
}

export function createExportActivities({
  progress,
  database,
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
      inSystem('kafka', log, async () => {
        try {
          await progress.caughtUp(CATCH_UP_MS, cancellationSignal());
        } catch (error) {
          // Consumers are behind as long as they cannot store.
          if (error instanceof ConsumersBehindError) await ofSystem('mysql', database.ping());
          throw error;
        }
      }),
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
