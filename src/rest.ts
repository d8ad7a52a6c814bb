/** The part of the server that REST needs alone: who calls, what they may ask, what follows from it. */
import { AuditLog } from './activities/mysql/audit-log';
import { Conversations } from './activities/mysql/conversations';
import { ErasureConfirmations } from './activities/mysql/erasure-confirmations';
import { ExportBundles } from './activities/mysql/export-bundles';
import { InboxPages } from './activities/mysql/inbox-pages';
import { ReadReceipts } from './activities/mysql/read-receipts';
import { ReceiptPages } from './activities/mysql/receipt-pages';
import { RateLimiter } from './activities/redis/rate-limiter';
import { WakeClaims } from './activities/redis/wake-claims';
import { conversationEndpoints } from './api/endpoints/conversations';
import { deletionEndpoints } from './api/endpoints/deletions';
import { erasureEndpoints } from './api/endpoints/erasure';
import { exportEndpoints } from './api/endpoints/export';
import { gdprEndpoints } from './api/endpoints/gdpr';
import { holdEndpoints } from './api/endpoints/holds';
import { offlineEndpoints } from './api/endpoints/offline';
import { receiptEndpoints } from './api/endpoints/receipts';
import type { ClientOptions } from './api/http-app';
import { RateLimits } from './api/rest/rate-limits';
import { TokenVerifier } from './api/rest/token-verifier';
import type { Parts } from './parts';
import { ConversationAccess } from './routing/conversation-access';
import { ExportDownloads } from './routing/export-downloads';
import { GdprRequests } from './routing/gdpr-requests';
import { MessageAccess } from './routing/message-access';
import { MessageDeletions } from './routing/message-deletions';
import { OfflineInbox } from './routing/offline-inbox';
import { ExportReader } from './routing/read-export';
import { ReadMarks } from './routing/read-marks';
import { GdprStarts } from './temporal/gdpr-starts';
import { ReceiptWakes } from './temporal/receipt-wakes';

/** How long a call waits for the end of the job it has asked for, ms. */
const JOB_WAIT_MS = 5_000;

export interface Rest {
  readonly client: ClientOptions;
  close(): Promise<void>;
}

export async function createRest(parts: Parts): Promise<Rest> {
  const { config, database, redis, metrics, log } = parts;
  const now = Date.now;
  const wakes = new ReceiptWakes({
    ...parts,
    taskQueue: config.IM_TEMPORAL_TASK_QUEUE,
    claims: new WakeClaims(redis),
  });
  const conversations = new Conversations(database);
  const audit = new AuditLog(database, now);
  const inboxPages = new InboxPages(database);
  const access = new ConversationAccess({ conversations, groups: parts.groups });
  const messages = new MessageAccess({ ...parts, conversations, inbox: inboxPages, access });
  const marks = new ReadMarks({
    ...parts,
    receipts: new ReadReceipts(database, now),
    conversations,
    messages,
    wake: (senderId) => wakes.request(senderId),
    now,
  });
  const starts = new GdprStarts({ ...parts, taskQueue: config.IM_TEMPORAL_TASK_QUEUE });
  const requests = new GdprRequests({
    jobs: parts.gdprJobs,
    startJob: (job) => starts.start(job),
    ended: (workflowId, ms) => starts.ended(workflowId, ms),
    log,
  });
  const waitMs = Math.min(JOB_WAIT_MS, config.IM_HTTP_DEADLINE_MS / 2);
  const downloads = new ExportDownloads({
    reader: new ExportReader({
      bundles: new ExportBundles(database),
      exportKeys: parts.exportKeys,
      now,
    }),
    audit,
  });
  const client: ClientOptions = {
    endpoints: [
      ...offlineEndpoints(
        new OfflineInbox({ ...parts, pages: inboxPages, now }),
        parts.encryption.content,
      ),
      ...receiptEndpoints({ marks, pages: new ReceiptPages(database), messages, access }),
      ...conversationEndpoints({ conversations, access, marks, keys: parts.encryption.content }),
      ...deletionEndpoints({
        deletions: new MessageDeletions({
          erased: parts.erasedMessages,
          access: messages,
          jobs: parts.gdprJobs,
          requests,
        }),
        waitMs,
      }),
      ...gdprEndpoints({ jobs: parts.gdprJobs, audit }),
      ...holdEndpoints({ holds: parts.holds, conversations }),
      ...erasureEndpoints({
        holds: parts.holds,
        confirmations: new ErasureConfirmations(database, now),
        requests,
        audit,
        delayS: config.IM_ERASURE_DELAY_S,
      }),
      ...exportEndpoints({ requests, jobs: parts.gdprJobs, downloads, waitMs }),
    ],
    erased: parts.erased,
    tokens: await TokenVerifier.create({
      secret: config.JWT_SECRET,
      jwks: config.IM_JWT_JWKS,
      issuer: config.IM_JWT_ISSUER,
      audience: config.IM_JWT_AUDIENCE,
      clockToleranceS: config.IM_JWT_CLOCK_TOLERANCE_S,
      log,
    }),
    limits: new RateLimits({
      limiter: new RateLimiter(redis),
      perUser: config.IM_RATE_LIMIT_USER,
      perAddress: config.IM_RATE_LIMIT_ADDRESS,
      metrics,
      log,
    }),
    deadlineMs: config.IM_HTTP_DEADLINE_MS,
    stallMs: config.IM_HTTP_STALL_MS,
    maxInFlight: config.IM_HTTP_MAX_IN_FLIGHT,
    bodyMaxBytes: config.IM_HTTP_BODY_MAX_BYTES,
    corsOrigins: config.IM_CORS_ORIGINS,
    trustedProxies: config.IM_HTTP_TRUSTED_PROXIES,
  };
  return {
    client,
    close: async () => {
      await wakes.close();
    },
  };
}
