/** The development stand-in for the deployed user service: gRPC for the product, HTTP for people and tests. */
import { createServer, type Server as HttpServer } from 'node:http';
import { Server } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { listFrom, LOOPBACK, portFrom, type Env } from '../common/env';
import { listen, loadService, stopServer } from '../common/grpc';
import { closeHttp, listenHttp } from '../common/http';
import { kafkaClient } from '../common/kafka';
import { adminApp } from './admin-http';
import { Directory } from './directory';
import { GroupAdmin } from './group-admin';
import { userServiceHandlers } from './grpc-service';
import {
  KafkaMembershipEvents,
  noMembershipEvents,
  type MembershipEvents,
} from './membership-events';
import { seedFromFile } from './seed';

export interface UserServiceConfig {
  /** The address to listen on; loopback unless told. */
  readonly bindHost?: string;
  /** 0 takes a free port. */
  grpcPort: number;
  httpPort: number;
  /** Without brokers nobody is told of joins and leaves. */
  kafkaBrokers: string[];
  seedFile?: string;
}

/** Reads DEV_USER_SERVICE_PORT, DEV_USER_SERVICE_HTTP_PORT, DEV_USER_SERVICE_FILE, KAFKA_BROKERS, PORT_OFFSET. */
export function userServiceConfig(env: Env): UserServiceConfig {
  return {
    bindHost: env.DEV_BIND_ADDRESS?.trim() || LOOPBACK,
    grpcPort: portFrom(env, 'DEV_USER_SERVICE_PORT', 9096),
    httpPort: portFrom(env, 'DEV_USER_SERVICE_HTTP_PORT', 8096),
    kafkaBrokers: listFrom(env, 'KAFKA_BROKERS'),
    seedFile: env.DEV_USER_SERVICE_FILE || undefined,
  };
}

export class DevUserService {
  readonly directory: Directory;
  private readonly events: MembershipEvents;
  private readonly grpcServer = new Server();
  private readonly httpServer: HttpServer;
  private ports = { grpc: 0, http: 0 };

  constructor(
    private readonly config: UserServiceConfig,
    private readonly log: Logger,
    now: () => number = Date.now,
  ) {
    this.directory = new Directory(now);
    if (config.seedFile !== undefined) seedFromFile(this.directory, config.seedFile);
    this.events =
      config.kafkaBrokers.length > 0
        ? new KafkaMembershipEvents(kafkaClient('dev-user-service', config.kafkaBrokers, log), log)
        : noMembershipEvents;
    const { service } = loadService('user/v1/user.proto', 'user.v1.UserService');
    this.grpcServer.addService(service, userServiceHandlers(this.directory));
    const app = adminApp(new GroupAdmin(this.directory, this.events, now)).callback();
    // Koa answers its own failures; the promise it returns never rejects.
    this.httpServer = createServer((request, response) => void app(request, response));
  }

  get grpcAddress(): string {
    return `127.0.0.1:${this.ports.grpc}`;
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.ports.http}`;
  }

  async start(): Promise<void> {
    const grpc = await listen(this.grpcServer, this.config.grpcPort, this.config.bindHost);
    const http = await listenHttp(this.httpServer, this.config.httpPort, this.config.bindHost);
    this.ports = { grpc, http };
    this.log.info({ grpc: this.grpcAddress, http: this.httpUrl }, 'user service is up');
  }

  async stop(): Promise<void> {
    await closeHttp(this.httpServer);
    await stopServer(this.grpcServer, 1_000);
    await this.events.stop();
  }
}
