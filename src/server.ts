/** The server process: gRPC and REST. Stateless; run as many as there are cores and machines. */
import { withDeadline } from './activities/deadline';
import { ensureTopics, topicSpecs } from './activities/kafka/topics';
import { listenGrpc } from './api/grpc-server';
import { listenHttp } from './api/http-app';
import { createImService } from './api/im-service';
import { RouteCalls } from './api/route-calls';
import { StreamService } from './api/stream-service';
import type { Config } from './config';
import { messageOf } from './domain/errors';
import type { Logger } from './logger';
import {
  createGroupRouter,
  createPrivateRouter,
  createReservations,
  openParts,
  WRITTEN_TOPICS,
} from './parts';
import { runProcess } from './process';
import { createRest } from './rest';
import { answerForMetrics, isFirstOfMany, sharedMetrics, startProcesses } from './server-processes';
import type { ContentSteps } from './routing/content';
import { Lanes } from './routing/lanes';
import { findMessageStatus } from './routing/message-status';
import type { PrivateRouter } from './routing/private-message';
import { TemporalExecutor } from './temporal/executor';

/** How long a start waits for a server it can be without for a while, ms. */
const START_WAIT_MS = 5_000;
/** Registered devices whose gateways a readiness check asks. */
const GATEWAY_SAMPLE = 50;

export interface RunningServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Stops accepting, finishes what is in flight, flushes, disconnects. */
  close(): Promise<void>;
}

/** Builds the server out of its parts and listens. `content` is there for tests to replace. */
export async function startServer(config: Config, content?: ContentSteps): Promise<RunningServer> {
  const parts = await openParts(config, 'server');
  const { log, metrics, kafka, producer, redis, presence, gateways, users } = parts;
  const reservations = createReservations(parts);
  const groupRouter = createGroupRouter(parts, reservations, content);
  const router: Pick<PrivateRouter, 'route'> =
    config.ROUTING_EXECUTOR === 'local'
      ? createPrivateRouter(parts, reservations, content)
      : new TemporalExecutor({ ...parts, taskQueue: config.IM_TEMPORAL_TASK_QUEUE });

  await startUp('Kafka topics', log, (deadlineMs) =>
    ensureTopics(kafka, topicSpecs(config), {
      replication: config.IM_KAFKA_REPLICATION,
      deadlineMs,
      log,
    }),
  );
  await startUp('Kafka', log, () => producer.warmUp(WRITTEN_TOPICS));
  await startUp('Redis', log, () => redis.whenReady());

  parts.memberCache.start();
  const calls = new RouteCalls({
    routePrivate: (request, lanes) => router.route(request, lanes),
    routeGroup: (request, lanes) => groupRouter.route(request, lanes),
    maxInFlight: config.IM_MAX_IN_FLIGHT,
    metrics,
    log,
  });
  const grpc = await listenGrpc(
    `${config.IM_BIND_ADDRESS}:${config.GRPC_PORT}`,
    createImService({
      calls,
      messageStatus: (msgId) => findMessageStatus(parts, msgId),
      metrics,
    }),
    new StreamService({
      calls,
      lanes: () => new Lanes(reservations),
      maxUnanswered: config.IM_STREAM_IN_FLIGHT,
      // An activity knows nothing of the streams here.
      oneByOne: config.ROUTING_EXECUTOR === 'temporal',
      metrics,
    }),
    log,
  );
  const rest = await createRest(parts);
  const http = await listenHttp(config.IM_BIND_ADDRESS, config.HTTP_PORT, {
    checks: {
      ...parts.checks,
      gateway_service: async () =>
        gateways.requireOne(
          await presence.gatewayAddresses(GATEWAY_SAMPLE),
          config.IM_PUSH_DEADLINE_MS,
        ),
      user_service: () => users.ping(),
    },
    client: rest.client,
    allMetrics: sharedMetrics(metrics.registry),
    metrics,
    log,
  });
  log.info({ grpc: grpc.port, http: http.port }, 'server listens');

  return {
    grpcPort: grpc.port,
    httpPort: http.port,
    close: async () => {
      await grpc.close(config.IM_SHUTDOWN_GRACE_MS);
      await http.close(config.IM_SHUTDOWN_GRACE_MS);
      await rest.close();
      await parts.close();
    },
  };
}

/** Waits a while for what is nice to have at the first request; without it `/ready` says so. */
async function startUp(
  what: string,
  log: Logger,
  work: (deadlineMs: number) => Promise<unknown>,
): Promise<void> {
  try {
    await withDeadline(work(START_WAIT_MS), START_WAIT_MS, what);
  } catch (error) {
    log.warn({ err: messageOf(error) }, `starting without ${what}`);
  }
}

if (require.main === module) {
  answerForMetrics();
  runProcess('server', (config) =>
    isFirstOfMany(config) ? startProcesses(config) : startServer(config),
  );
}
