/**
 * Deletes a message, from all systems or out of one recipient's view. The id is listed as erased before
 * anything else, so whatever stores, routes or replays it meanwhile drops it; after the content is gone
 * nothing can add a row to what the later steps remove. Until the id is listed it can be canceled.
 */
import { patched, proxyActivities } from '@temporalio/workflow';
import type { GdprExpiry, GdprProof } from '../domain/gdpr';
import type { DeleteActivities, DeleteInput } from '../domain/gdpr-delete';
import { CancelWindow } from './cancel-window';
import { runGdprJob, STEP_OPTIONS } from './gdpr-job';
import type { GdprJob } from './gdpr-job';

const activities = proxyActivities<DeleteActivities>(STEP_OPTIONS);

/** See the file's head; the result is the proof. */
export async function gdprDeleteMessage(input: DeleteInput): Promise<GdprProof> {
  const { forUser } = input;
  if (forUser !== undefined) {
    return runGdprJob('delete', input, (job) => deleteForOne(job, { ...input, forUser }));
  }
  return CancelWindow.around((window) =>
    runGdprJob('delete', input, (job) => deleteForAll(job, input, window)),
  );
}

async function deleteForAll(
  job: GdprJob,
  input: DeleteInput,
  window: CancelWindow,
): Promise<GdprExpiry[]> {
  const listed = await window.first(job, () =>
    job.step('erased_list', () => activities.listErased(input)),
  );
  await job.step('redis', () => activities.forgetInRedis(input));
  await job.step('mysql_messages', () => activities.removeContent(input));
  if (patched('export-bundles')) {
    await job.step('export_bundles', () => activities.removeExports(input));
  }
  await job.step('mysql_group_log', () => activities.removeFromGroupLog(input));
  await job.step('mysql_inbox', () => activities.clearInboxes(input));
  await job.step('mysql_receipts', () => activities.removeReceipts(input));
  await job.step('redis_counts', () => activities.forgetCounts(input));
  const copies = await job.step('kafka', () => activities.dateKafkaCopies(input));
  const until = Math.max(listed['listed_until'] ?? 0, ...Object.values(copies));
  return [
    ...Object.entries(copies).map(([topic, at]) => ({ what: `kafka:${topic}`, at })),
    { what: 'mysql:erased_messages', at: until },
  ];
}

/** For everybody else the message stays, on Kafka too: nothing of it expires for this. */
async function deleteForOne(
  job: GdprJob,
  input: DeleteInput & { readonly forUser: string },
): Promise<GdprExpiry[]> {
  await job.step('mysql_inbox', () => activities.hideMessage(input));
  await job.step('redis_counts', () => activities.forgetCounts(input));
  return [];
}
