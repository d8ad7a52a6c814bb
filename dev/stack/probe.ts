/** Asks each server, in its own protocol, whether it serves. */
import { setTimeout as sleep } from 'node:timers/promises';

import { useRequestTimersWhenNeeded } from '../../src/activities/kafka/request-timers';
import type { ServerName, StackEnvironment } from './environment';

/** One question's deadline; a healthy server answers in milliseconds. */
const PROBE_DEADLINE_MS = 2_000;
const PROBE_INTERVAL_MS = 100;

type Probe = (environment: StackEnvironment) => Promise<void>;

const PROBES: Record<ServerName, Probe> = {
  async mysql({ MYSQL_URL }) {
    const { createConnection } = await import('mysql2/promise');
    const connection = await createConnection({
      uri: MYSQL_URL,
      connectTimeout: PROBE_DEADLINE_MS,
    });
    try {
      await connection.query('SELECT 1');
    } finally {
      await connection.end();
    }
  },

  async redis({ REDIS_URL }) {
    const { Redis } = await import('ioredis');
    const redis = new Redis(REDIS_URL, {
      lazyConnect: true,
      connectTimeout: PROBE_DEADLINE_MS,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    // The failure reaches us through connect() and ping(); unheard, the event would be printed.
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      await redis.ping();
    } finally {
      redis.disconnect();
    }
  },

  async kafka({ KAFKA_BROKERS }) {
    const { Kafka, logLevel } = await import('kafkajs');
    useRequestTimersWhenNeeded();
    const kafka = new Kafka({
      brokers: KAFKA_BROKERS.split(','),
      logLevel: logLevel.NOTHING,
      connectionTimeout: PROBE_DEADLINE_MS,
      requestTimeout: PROBE_DEADLINE_MS,
      retry: { retries: 0 },
    });
    const admin = kafka.admin();
    try {
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      if (brokers.length === 0) throw new Error('no broker is registered yet');
    } finally {
      await admin.disconnect();
    }
  },

  async etcd({ ETCD_ENDPOINTS }) {
    const [endpoint = ''] = ETCD_ENDPOINTS.split(',');
    const address = /^https?:/.test(endpoint) ? endpoint : `http://${endpoint}`;
    const response = await fetch(new URL('/health', address), {
      signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
    });
    const { health } = (await response.json()) as { health?: unknown };
    if (String(health) !== 'true') throw new Error(`health is ${String(health)}`);
  },

  async temporal({ TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE }) {
    const { Connection } = await import('@temporalio/client');
    const connection = await Connection.connect({
      address: TEMPORAL_ADDRESS,
      connectTimeout: PROBE_DEADLINE_MS,
    });
    try {
      // The frontend serves a moment before the namespace exists.
      await connection.withDeadline(Date.now() + PROBE_DEADLINE_MS, () =>
        connection.workflowService.describeNamespace({ namespace: TEMPORAL_NAMESPACE }),
      );
    } finally {
      await connection.close();
    }
  },
};

/** Resolves with what is wrong, or `undefined` if the server answers as it should. */
export async function ailment(
  name: ServerName,
  environment: StackEnvironment,
): Promise<string | undefined> {
  const timer = new AbortController();
  const probe = PROBES[name](environment).then(
    () => undefined,
    (error: unknown) => (error instanceof Error && error.message ? error.message : 'no answer'),
  );
  const late = sleep(2 * PROBE_DEADLINE_MS, 'no answer in time', { signal: timer.signal });
  // Cancelling the timer rejects its promise, which nobody waits for by then.
  late.catch(() => undefined);
  try {
    return await Promise.race([probe, late]);
  } finally {
    timer.abort();
  }
}

/** Waits until the server answers; gives up at the deadline or once `stillRunning` says no. */
export async function waitHealthy(
  name: ServerName,
  environment: StackEnvironment,
  deadlineMs: number,
  stillRunning: () => Promise<boolean>,
): Promise<string | undefined> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const trouble = await ailment(name, environment);
    if (trouble === undefined) return undefined;
    if (!(await stillRunning())) return 'it ended';
    if (Date.now() > deadline) return `${trouble} (waited ${deadlineMs / 1000} s)`;
    await sleep(PROBE_INTERVAL_MS);
  }
}
