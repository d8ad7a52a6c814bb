/**
 * Deletes a message, from all systems or out of one recipient's view. The id is listed as erased before
 * anything else, so whatever stores, routes or replays it meanwhile drops it; after the content is gone
 * nothing can add a row to what the later steps remove. Until the id is listed it can be canceled; where
 * a cancellation crosses the listing, the end that is written down decides: the id may have been listed
 * although nobody heard of it, and what came for it since was dropped.
 */
import { patched, proxyActivities } from '@temporalio/workflow';
import { BEGUN } from '../domain/gdpr';
import type { GdprCounts, GdprExpiry, GdprProof } from '../domain/gdpr';
import type { DeleteActivities, DeleteInput } from '../domain/gdpr-delete';
import { CancelWindow, TOO_LATE } from './cancel-window';
import { failureOf, runGdprJob, STEP_OPTIONS } from './gdpr-job';
import type { GdprJob } from './gdpr-job';

const activities = proxyActivities<DeleteActivities>(STEP_OPTIONS);

/** See the file's head; the result is the proof. */
export async function gdprDeleteMessage(input: DeleteInput): Promise<GdprProof> {
  const { forUser } = input;
  if (forUser !== undefined) {
    return runGdprJob('delete', input, (job) => deleteForOne(job, { ...input, forUser }));
  }
  return CancelWindow.around(async (window) => {
    try {
      return await runGdprJob('delete', input, async (job) => {
        return deleteListed(job, input, await window.first(job, () => list(job, input)));
      });
    } catch (error) {
      if (failureOf(error)?.type !== BEGUN) throw error;
    }
    return runGdprJob('delete', { ...input, ending: undefined }, async (job) => {
      job.note(TOO_LATE);
      return deleteListed(job, input, await list(job, input));
    });
  });
}

function list(job: GdprJob, input: DeleteInput): Promise<GdprCounts> {
  return job.step('erased_list', () => activities.listErased(input));
}

async function deleteListed(
  job: GdprJob,
  input: DeleteInput,
  listed: GdprCounts,
): Promise<GdprExpiry[]> {
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
