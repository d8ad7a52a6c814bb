/** The part of the worker that workflows call: every activity, with what it works on. */
import { ConsumerProgress } from './activities/kafka/consumer-progress';
import { TOPICS } from './activities/kafka/topics';
import { ExportBundles } from './activities/mysql/export-bundles';
import { ExportRows } from './activities/mysql/export-rows';
import type { DeliveryActivities } from './domain/delivery';
import type { EraseActivities } from './domain/erasure';
import type { ExportActivities } from './domain/export-workflow';
import type { GdprJobActivities } from './domain/gdpr';
import type { DeleteActivities } from './domain/gdpr-delete';
import type { KeyActivities } from './domain/key-rotation';
import type { ReceiptActivities } from './domain/receipt-workflow';
import type { RetentionActivities } from './domain/retention';
import type { RoutingActivities } from './domain/routing';
import type { Parts } from './parts';
import { createDeletion, createErasure, createRetention } from './removal';
import { InboxDelivery } from './routing/deliver-inbox';
import type { PrivateRouter } from './routing/private-message';
import { ExportWriter } from './routing/write-export';
import { createActivities } from './temporal/activities';
import type { ActivityDeps } from './temporal/activities';
import { createExportActivities } from './temporal/export-activities';
import { createGdprActivities } from './temporal/gdpr-activities';
import { GdprStarts } from './temporal/gdpr-starts';
import type { ReceiptWakes } from './temporal/receipt-wakes';
import { routeTicket } from './temporal/route-ticket';

const HOUR_MS = 60 * 60 * 1000;

/** Parts that the worker has for more than its activities. */
export interface SharedParts extends Pick<
  ActivityDeps,
  'requests' | 'publisher' | 'receipts' | 'backlog' | 'fanout'
> {
  readonly wakes: ReceiptWakes;
  readonly router: PrivateRouter;
}

export type WorkerActivities = DeleteActivities &
  DeliveryActivities &
  EraseActivities &
  ExportActivities &
  GdprJobActivities &
  KeyActivities &
  ReceiptActivities &
  RetentionActivities &
  RoutingActivities;

export function createWorkerActivities(
  parts: Parts,
  { wakes, router, ...shared }: SharedParts,
): WorkerActivities {
  const { config, temporal, log } = parts;
  const starts = new GdprStarts({ temporal, taskQueue: config.IM_TEMPORAL_TASK_QUEUE, log });
  return {
    ...createActivities({
      ...parts,
      ...shared,
      delivery: new InboxDelivery({
        ...parts,
        erased: parts.erasedMessages,
        erasedUsers: parts.erased,
        content: parts.encryption.content,
        now: Date.now,
      }),
      userKeys: parts.encryption,
      retention: createRetention(parts),
      wake: (senderId) => wakes.wake(senderId),
      now: Date.now,
    }),
    ...createDeletion(parts),
    ...createExport(parts),
    ...createErasure(parts),
    ...createGdprActivities({
      jobs: parts.gdprJobs,
      startJob: (job) => starts.start(job),
      now: Date.now,
      log,
    }),
    routePrivateMessage: (ticket) => routeTicket(router, parts.tickets, ticket),
  };
}

function createExport(parts: Parts): ExportActivities {
  const { config, database, log } = parts;
  const clientId = config.IM_KAFKA_CLIENT_ID;
  // What an export waits for: all that was acknowledged before it is to be in it.
  const stored = [
    { topic: TOPICS.offline, groupId: `${clientId}-offline` },
    { topic: TOPICS.delivered, groupId: `${clientId}-delivered` },
    { topic: TOPICS.group, groupId: `${clientId}-group` },
  ];
  return createExportActivities({
    progress: new ConsumerProgress(parts.consumerKafka, stored),
    database,
    writer: new ExportWriter({
      rows: new ExportRows(database),
      bundles: new ExportBundles(database),
      exportKeys: parts.exportKeys,
      content: parts.encryption.content,
      ttlMs: config.IM_EXPORT_TTL_H * HOUR_MS,
      now: Date.now,
    }),
    log,
  });
}
