/**
 * The export of everything held about a user, into a bundle that they fetch (architecture §6). Its steps
 * are named after what they read. The bundle is in MySQL, here are only counts.
 */
import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import { SECTIONS } from '../domain/export';
import type { ExportActivities } from '../domain/export-workflow';
import type { GdprInput, GdprProof } from '../domain/gdpr';
import { runGdprJob, STEP_OPTIONS } from './gdpr-job';

const { exportBegin, exportSection, exportFinish } =
  proxyActivities<ExportActivities>(STEP_OPTIONS);
const { exportCatchUp } = proxyActivities<ExportActivities>({
  ...STEP_OPTIONS,
  // It is patient itself.
  retry: { maximumAttempts: 1 },
});

/** Fails with the type `BundleGone` when something in the bundle was deleted while it was written. */
export async function gdprExport(input: GdprInput): Promise<GdprProof> {
  return runGdprJob('export', input, async (job) => {
    const { jobId, userId } = input;
    if (userId === undefined) {
      throw ApplicationFailure.nonRetryable('userId is missing', 'InvalidInput');
    }
    const bundle = { jobId, userId };
    await job.step('kafka', async () => {
      await exportCatchUp(bundle);
      return {};
    });
    await job.step('mysql', async () => {
      await exportBegin(bundle);
      return {};
    });
    for (const section of SECTIONS) {
      await job.step(`mysql:${section}`, async (progress) => {
        for (;;) {
          const { records, done } = await exportSection({ ...bundle, section });
          if (done) return { records };
          await progress({ records });
        }
      });
    }
    // Among the counts: a run that continues as new after this step finds it there.
    const { expires_at: at = 0 } = await job.step('bundle', async () => {
      const { counts, expiresAt } = await exportFinish(bundle);
      return { ...counts, expires_at: expiresAt };
    });
    return [{ what: 'bundle', at }];
  });
}
