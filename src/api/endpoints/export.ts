/** The export of a user's data (spec, REST 5), and the bundle of one that took longer. */
import { z } from 'zod';
import { BundleGoneError } from '../../activities/mysql/export-bundles';
import type { GdprJob, GdprJobs } from '../../activities/mysql/gdpr-jobs';
import type { ExportDownloads } from '../../routing/export-downloads';
import type { GdprRequests } from '../../routing/gdpr-requests';
import { reading } from '../../routing/store-errors';
import { endpoint } from '../rest/endpoint';
import type { Accepts, Endpoint, Reply } from '../rest/endpoint';
import { conversationId, conversationType, count, messageId, time, userId } from '../rest/fields';
import { Problem } from '../rest/problem';
import type { Caller } from '../rest/token-verifier';
import { bundlePath, isCompliance, jobToWire, wireJob } from './gdpr';

export interface ExportDeps {
  readonly requests: GdprRequests;
  readonly jobs: Pick<GdprJobs, 'find'>;
  readonly downloads: ExportDownloads;
  /** How long a call waits for the export to be made, ms; what takes longer is fetched from its job. */
  readonly waitMs: number;
}

const JSON_TYPE = 'application/json';
const NDJSON_TYPE = 'application/x-ndjson';

export function exportEndpoints(deps: ExportDeps): Endpoint[] {
  return [exportData(deps), getBundle(deps)];
}

const exported = z.object({
  user_id: userId,
  export_date: z.iso.datetime().describe('The moment the export shows.'),
  messages: z.array(
    z.object({
      msg_id: messageId,
      type: z.enum(['sent', 'received']),
      sender_id: userId.optional().describe('Of a message that was received.'),
      recipient_id: userId.describe('The group, for a message that was sent to one.'),
      content: z.string().describe('Empty when the message cannot be read any more.'),
      unreadable: z.enum(['keyless', 'tampered', 'erased']).optional(),
      timestamp: time.describe('When it was sent, unix ms, as the sender says.'),
      created_at: time.describe('When the service took it, unix ms.'),
      sequence_number: z.int(),
      conversation_type: conversationType,
      conversation_id: conversationId,
      metadata: z.record(z.string(), z.string()).optional(),
      delivered_at: time.optional(),
      read_at: time.optional(),
    }),
  ),
  receipts: z.array(
    z.object({
      msg_id: messageId,
      type: z.enum(['given', 'received']),
      sender_id: userId.describe('Whose message was read.'),
      reader_id: userId,
      conversation_type: conversationType,
      conversation_id: conversationId,
      read_at: time,
      device_id: z.string().optional().describe('Where the user read it.'),
    }),
  ),
  devices: z.array(z.object({ device_id: z.string(), first_seen: time, last_seen: time })),
  audit: z.array(
    z.object({
      seq: count,
      at: time,
      actor: z.string().describe('The user, "system" or "compliance".'),
      actor_kind: z
        .enum(['user', 'service', 'compliance'])
        // Bundles from before have none.
        .optional()
        .describe('Which of the three: a user may have the id "system", or "compliance".'),
      action: z.string(),
      subject_kind: z.string(),
      subject_id: z.string(),
      outcome: z.string(),
    }),
  ),
  total_messages: count,
});

function exportData({ requests, downloads, waitMs }: ExportDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/export',
    operationId: 'exportUserData',
    summary: 'Everything held about the caller',
    description:
      'Messages sent and received, receipts given and got, devices, and entries of the audit log. ' +
      'One that is not made within a few seconds is answered with 202 and its job: fetch it from ' +
      'download_url once the job is done. To ask again while one is made joins it. As NDJSON by ' +
      'Accept: application/x-ndjson.',
    query: z.object({
      user_id: userId.optional().describe('Someone else, for the scope im:compliance.'),
    }),
    answers: { 200: exported, 202: wireJob },
    alsoAs: [NDJSON_TYPE],
    problems: ['FORBIDDEN', 'GONE', 'STORAGE_ERROR', 'RETRIEVAL_ERROR', 'ENCRYPTION_ERROR'],
    handle: async ({ caller, query, accepts }) => {
      const subject = query.user_id ?? caller.userId;
      const isOwn = subject === caller.userId;
      if (!isOwn && !isCompliance(caller)) {
        throw new Problem('FORBIDDEN', 'the scope im:compliance is needed for another user');
      }
      const name = `gdpr-export/${subject}`;
      const job = await requests.request(
        {
          kind: 'export',
          userId: subject,
          requestedBy: caller.userId,
          requestedRole: isOwn ? 'own' : 'compliance',
          name,
          workflowId: (jobId) => `${name}/${jobId}`,
          input: { userId: subject },
          audit: { action: 'user.export', subjectKind: 'user', subjectId: subject },
        },
        waitMs,
      );
      if (job.state === 'done') return download(downloads, job, caller, accepts);
      if (job.finishedAt !== undefined) {
        throw new Problem('GONE', `the export has ended as ${job.state}: ask again`);
      }
      return {
        status: 202,
        body: jobToWire(job, caller),
        headers: { location: `/api/v1/gdpr/jobs/${job.jobId}` },
      };
    },
  });
}

function getBundle({ jobs, downloads }: ExportDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/gdpr/jobs/{id}/bundle',
    operationId: 'getExportBundle',
    summary: 'The export that a job has made',
    description:
      'For whom it is about, and compliance, until it expires. As NDJSON by ' +
      'Accept: application/x-ndjson.',
    params: z.object({ id: z.string().max(128) }),
    answers: { 200: exported },
    alsoAs: [NDJSON_TYPE],
    problems: ['NOT_FOUND', 'GONE', 'STORAGE_ERROR', 'RETRIEVAL_ERROR', 'ENCRYPTION_ERROR'],
    handle: async ({ caller, params, accepts }) => {
      const job = await reading(jobs.find(params.id));
      const isTheirs = isCompliance(caller) || job?.userId === caller.userId;
      if (!job || !isTheirs || bundlePath(job) === undefined) {
        throw new Problem('NOT_FOUND', 'there is no such bundle');
      }
      return download(downloads, job, caller, accepts);
    },
  });
}

async function download(
  downloads: ExportDownloads,
  { jobId, userId = '' }: GdprJob,
  caller: Caller,
  accepts: Accepts,
): Promise<Reply> {
  const type = accepts(JSON_TYPE, NDJSON_TYPE) === NDJSON_TYPE ? NDJSON_TYPE : JSON_TYPE;
  const form = type === NDJSON_TYPE ? 'ndjson' : 'json';
  try {
    const body = await downloads.start({ jobId, userId, by: caller.userId, form });
    return { status: 200, body, headers: { 'content-type': type } };
  } catch (error) {
    if (!(error instanceof BundleGoneError)) throw error;
    throw new Problem('GONE', 'the export has expired or was removed: ask again');
  }
}
