/** Every metric of the service, in one typed place (spec, "Key Metrics", and our own). */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** Metrics on a registry of their own, so that two servers can live in one process. */
// Spelling the type out would say every metric twice.
// eslint-disable-next-line @typescript-eslint/explicit-module-boundary-types
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
    new Counter({ name: `im_service_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new Gauge({ name: `im_service_${name}`, help, labelNames, registers });
  return {
    registry,
    messagesRouted: counter('messages_routed_total', 'Messages routed with success', 'type'),
    routingLatency: new Histogram({
      name: 'im_service_routing_latency',
      help: 'Time to answer a Route call, ms',
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000],
      registers,
    }),
    offlineStored: counter(
      'offline_messages_stored_total',
      'Messages answered offline, durably kept',
    ),
    sequenceNumbers: counter('sequence_numbers_generated_total', 'Sequence numbers generated'),
    routingErrors: counter(
      'routing_errors_total',
      'Route calls answered with a code',
      'code',
      'success',
    ),
    refusedOverCapacity: counter('over_capacity_total', 'Route calls refused, too many in flight'),
    inFlight: gauge('in_flight', 'Messages of Route calls and streams being worked on'),
    answered: counter(
      'messages_answered_total',
      'Messages answered, by the way they came in',
      'way',
    ),
    streams: gauge('streams', 'Streams of gateways that are open'),
    presenceStale: counter(
      'presence_stale_total',
      'Presence answered without a healthy registry',
      'source',
    ),
    presenceWatchHealthy: new Gauge({
      name: 'im_service_presence_watch_healthy',
      help: '1 while the registry watch is true',
      // Of several processes, the worst.
      aggregator: 'min',
      registers,
    }),
    pushes: counter('pushes_total', 'Pushes to gateways', 'outcome'),
    breakerOpen: gauge('gateway_breakers_open', 'Gateways whose circuit breaker is open'),
    kafkaBatch: new Histogram({
      name: 'im_service_kafka_batch_records',
      help: 'Records in one append',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
      registers,
    }),
    historyBuffered: gauge('history_buffered', 'Delivered messages that wait for private_msg'),
    historyDropped: counter(
      'history_dropped_total',
      'Delivered messages that never reached private_msg',
    ),
    retentionRemoved: counter('retention_removed_total', 'Rows removed by retention', 'class'),
    ceilingsReserved: counter(
      'sequence_ceilings_reserved_total',
      'Blocks of sequence numbers reserved',
    ),
    screened: counter('screened_total', 'Messages with a listed word, by what was done', 'action'),
    unreadable: counter('content_unreadable_total', 'Stored messages that did not open', 'reason'),
    userKeysCreated: counter('user_keys_created_total', 'Data keys made for users'),
    keyFailures: counter('key_failures_total', 'Attempts to get data keys that failed'),
    wordListLoads: counter('word_list_loads_total', 'Word lists read anew', 'outcome'),
    consumed: counter('consumed_total', 'Records consumed', 'topic', 'outcome'),
    consumerPartitions: gauge('consumer_partitions', 'Partitions this process reads', 'topic'),
    consumerLag: gauge('consumer_lag', 'Records of those partitions yet to be read', 'topic'),
    fanoutRows: counter('group_fanout_rows_total', 'Inbox rows written for group messages'),
    fanoutsLate: counter(
      'group_fanouts_late_total',
      'Group messages whose members were unknown: the sweep finishes them',
    ),
    deliveries: counter('offline_deliveries_total', 'Messages delivered from the inbox'),
    temporalWorker: gauge('temporal_worker', '1 while the Temporal worker polls'),
    deliveryStarts: counter(
      'delivery_starts_total',
      'Temporal calls that start offlineDelivery',
      'outcome',
    ),
    readReceipts: counter('read_receipts_total', 'Receipts taken from readers'),
    receiptsPublished: counter('read_receipts_published_total', 'Receipts on read_receipt_events'),
    receiptPushes: counter('read_receipt_pushes_total', 'PushReadReceipt calls', 'outcome'),
    receiptWakes: counter(
      'read_receipt_wakes_total',
      'Temporal calls that wake readReceiptAggregation',
      'outcome',
    ),
    httpDuration: new Histogram({
      name: 'im_service_http_request_duration_seconds',
      help: 'Time to answer a REST request, s',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    }),
    rateLimited: counter('http_rate_limited_total', 'REST requests refused', 'kind'),
    rateLimitSkipped: counter(
      'http_rate_limit_skipped_total',
      'REST requests let through uncounted, Redis was away',
    ),
    userServiceStale: counter(
      'user_service_stale_total',
      'Answers served without the user service',
    ),
  };
}
