/** A workflow made of the frame alone, for its tests. */
import { proxyActivities } from '@temporalio/workflow';
import type { GdprCounts, GdprInput, GdprProof } from '../../../src/domain/gdpr';
import { runGdprJob, STEP_OPTIONS } from '../../../src/workflows/gdpr-job';

export interface ExampleActivities {
  cleanMysql(): Promise<GdprCounts>;
  cleanRedis(): Promise<GdprCounts>;
}

const { cleanMysql, cleanRedis } = proxyActivities<ExampleActivities>(STEP_OPTIONS);

export async function gdprExample(input: GdprInput): Promise<GdprProof> {
  return runGdprJob('erase', input, async (job) => {
    await job.step('mysql', () => cleanMysql());
    await job.step('redis', () => cleanRedis());
    return [{ what: 'kafka:offline_msg', at: 7 }];
  });
}
