/**
 * Erases a user. First what can still be undone: legal holds are looked for, what there is is counted,
 * and so long the job can be canceled. Then the user is marked as erased and their keys are destroyed,
 * and from there on it goes to its end, whoever wants to cancel it: half an erasure helps nobody.
 */
import { patched, proxyActivities, sleep } from '@temporalio/workflow';
import { ERASED_LEASE_MS } from '../domain/erasure';
import type { EraseActivities, EraseInput } from '../domain/erasure';
import type { GdprCounts, GdprExpiry, GdprProof } from '../domain/gdpr';
import { CancelWindow } from './cancel-window';
import { runGdprJob, STEP_OPTIONS } from './gdpr-job';
import type { GdprJob } from './gdpr-job';

const activities = proxyActivities<EraseActivities>({
  ...STEP_OPTIONS,
  // Batch by batch, with heartbeats: a user of millions of messages takes hours.
  startToCloseTimeout: '1 day',
});

/** Beyond the lease: for what a process had begun just before it ended, ms. */
const CACHE_MARGIN_MS = 1_000;

const CANCELABLE = 'Can be canceled until the keys are destroyed.';

/** See the file's head; the result is the proof. */
export async function gdprEraseUser(input: EraseInput): Promise<GdprProof> {
  return CancelWindow.around((window) =>
    runGdprJob('erase', input, async (job) => {
      const found = await window.first(job, () => prepare(job, input));
      await destroy(job, input, found);
      return patched('kafka-step') ? dateCopies(job, input) : activities.dateUserCopies(input);
    }),
  );
}

/** What can be canceled; resolves with what there is of the user. */
async function prepare(job: GdprJob, input: EraseInput): Promise<GdprCounts> {
  job.note(CANCELABLE);
  await job.step('legal_holds', () => activities.checkErasureHolds(input));
  const found = await job.step('traces', () => activities.findUserTraces(input));
  const { delayS = 0 } = input;
  if (delayS > 0) {
    await job.step('delay', async () => {
      await sleep(delayS * 1_000);
      return { seconds: delayS };
    });
  }
  job.note('');
  return found;
}

async function destroy(job: GdprJob, input: EraseInput, found: GdprCounts): Promise<void> {
  const step = (
    name: string,
    call: (input: EraseInput) => Promise<void>,
    counts: GdprCounts,
  ): Promise<GdprCounts> =>
    job.step(name, async () => {
      await call(input);
      return counts;
    });
  const of = (what: string): number => found[what] ?? 0;

  await step('user_keys', activities.destroyUserKeys, { destroyed: of('keys') });
  // No process opens anything with a key that it remembers once this has gone by.
  await job.step('key_caches', async () => {
    await sleep(ERASED_LEASE_MS + CACHE_MARGIN_MS);
    return {};
  });
  await step('mysql_messages', activities.eraseUserMessages, { erased: of('messages') });
  await step('mysql_inbox', activities.eraseUserInbox, { removed: of('inbox_rows') });
  await step('mysql_receipts', activities.eraseUserReceipts, { removed: of('receipts') });
  await step('mysql_groups', activities.eraseUserGroups, { removed: of('group_rows') });
  await step('exports', activities.eraseUserExports, {});
  await step('redis', activities.eraseUserInRedis, {});
  await job.step('verification', () => activities.verifyErasure(input));
}

/** A step like the others: it may have to wait for Kafka. */
async function dateCopies(job: GdprJob, input: EraseInput): Promise<GdprExpiry[]> {
  const copies = await job.step('kafka', async () => {
    const dates = await activities.dateUserCopies(input);
    return Object.fromEntries(dates.map(({ what, at }) => [what, at]));
  });
  return Object.entries(copies).map(([what, at]) => ({ what, at }));
}
