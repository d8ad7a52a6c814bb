/** The kafkajs client: short time-outs, its log in ours. kafkajs is used in this folder only. */
import { Kafka, logLevel } from 'kafkajs';
import type { Logger } from '../../logger';
import { usePlainRequestTables } from './request-tables';
import { useRequestTimersWhenNeeded } from './request-timers';

export interface KafkaOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** For one request, ms. */
  readonly deadlineMs: number;
  readonly log: Logger;
}

/**
 * How often kafkajs connects or asks again by itself: a topic just made costs a few. Appends are repeated
 * by our producer, never by kafkajs.
 */
const RETRIES = 8;

/** A client for producers and admin calls, which have callers that wait. */
export function createKafka(options: KafkaOptions): Kafka {
  const { brokers, clientId, deadlineMs, log } = options;
  usePlainRequestTables();
  useRequestTimersWhenNeeded();
  return new Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: deadlineMs,
    requestTimeout: deadlineMs,
    retry: { retries: RETRIES, initialRetryTime: 50, maxRetryTime: 200 },
    logLevel: logLevel.WARN,
    logCreator:
      () =>
      ({ log: entry, label }) =>
        log.debug({ kafka: label, err: entry['error'] as unknown }, entry.message),
  });
}
