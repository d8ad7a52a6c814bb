/** The development stand-in for the deployed gateway: people on one side, IM Service on the other. */
import { randomUUID } from 'node:crypto';
import { Server, type Client } from '@grpc/grpc-js';
import { Etcd3 } from 'etcd3';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { connect, listen, loadService, stopServer } from '../common/grpc';
import { kafkaClient } from '../common/kafka';
import { settledWithin } from '../common/wait';
import type { GatewayConfig } from './config';
import { Connection } from './connection';
import { Connections } from './connections';
import { GroupConsumer } from './group-consumer';
import { GroupMembers } from './group-members';
import { GroupPush } from './group-push';
import { gatewayHandlers } from './grpc-service';
import { OutgoingMessages } from './outgoing';
import { Presence, type Registration } from './presence';
import { WebSide } from './web';

const ETCD_CALL_MS = 3_000;
/** For the leases to be revoked at the end; those that were not expire by themselves. */
const REVOKE_LIMIT_MS = 3_000;

/** WebSocket close codes of our own (4000 and up are for applications). */
const REPLACED = 4001;
const GOING_AWAY = 1001;

export class DevGateway {
  private readonly connections = new Connections();
  private readonly registrations = new Set<Registration>();
  private readonly etcd: Etcd3;
  private readonly im: Client;
  private readonly userService: Client;
  private readonly grpcServer = new Server();
  private readonly web: WebSide;
  private readonly groups: GroupConsumer | undefined;
  private readonly presence: Presence;
  private ports = { grpc: 0, http: 0 };

  constructor(
    private readonly config: GatewayConfig,
    private readonly log: Logger,
    private readonly now: () => number = Date.now,
  ) {
    this.etcd = new Etcd3({
      hosts: config.etcdEndpoints,
      grpcOptions: { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 3_000 },
      defaultCallOptions: ({ isStream }) =>
        isStream ? {} : { deadline: Date.now() + ETCD_CALL_MS },
    });
    // The address is settled by the start: the port may be one that the system picks.
    this.presence = new Presence(this.etcd, () => this.address, config.leaseSeconds, log);
    this.im = connect(loadService('api/v1/im.proto', 'im.v1.IMService'), config.imAddress);
    const users = loadService('user/v1/user.proto', 'user.v1.UserService');
    this.userService = connect(users, config.userServiceAddress);
    this.groups = this.groupConsumer();
    const name = 'im_gateway_servicepb.UimUgatewayUserviceService';
    const { service } = loadService('gateway/gateway.proto', name);
    this.grpcServer.addService(service, gatewayHandlers(this.connections, log));
    this.web = new WebSide({
      health: () => this.health(),
      onConnection: (socket, userId, deviceId) => this.onConnection(socket, userId, deviceId),
    });
  }

  /** What is written into the registry. */
  get address(): string {
    return `${this.config.advertisedHost}:${this.ports.grpc}`;
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.ports.http}`;
  }

  async start(): Promise<void> {
    this.ports.grpc = await listen(this.grpcServer, this.config.grpcPort, this.config.bindHost);
    this.ports.http = await this.web.listen(this.config.httpPort, this.config.bindHost);
    this.groups?.start();
    this.log.info({ grpc: this.address, http: this.httpUrl }, 'gateway is up');
  }

  /** Out of the registry first, so that nobody is sent here while the sockets close. */
  async stop(): Promise<void> {
    this.web.stopListening();
    const released = [...this.registrations].map((registration) => registration.release());
    await settledWithin(REVOKE_LIMIT_MS, Promise.all(released));
    for (const connection of this.connections.all()) {
      connection.close(GOING_AWAY, 'the gateway is stopping');
    }
    await Promise.all([stopServer(this.grpcServer, 1_000), this.groups?.stop()]);
    await this.web.close();
    this.etcd.close();
    this.im.close();
    this.userService.close();
  }

  private health(): object {
    const groups = this.groups === undefined ? 'off' : this.groups.ready ? 'reading' : 'connecting';
    return { status: 'healthy', connections: this.connections.size, group_messages: groups };
  }

  /** Connected here first, registered then: whoever is pushed to because of the registry is found. */
  private onConnection(socket: WebSocket, userId: string, deviceId: string): void {
    const { presence, log } = this;
    const connection = new Connection(userId, deviceId, socket);
    this.connections.add(connection)?.close(REPLACED, 'connected again');
    const connectedAt = this.now();
    const registration = presence.register({ userId, deviceId, connectedAt }, () =>
      connection.close(REPLACED, 'connected elsewhere'),
    );
    this.registrations.add(registration);
    const answer = (frame: object): void => void connection.send(frame);
    const outgoing = new OutgoingMessages(this.im, userId, answer, this.now);

    socket.on('message', (data: Buffer) => outgoing.accept(data.toString('utf8')));
    socket.on('error', (error) => log.warn({ userId, deviceId, reason: error.message }, 'socket'));
    socket.on('close', () => {
      this.connections.remove(connection);
      log.info({ userId, deviceId }, 'disconnected');
      void registration.release().finally(() => this.registrations.delete(registration));
    });
    log.info({ userId, deviceId }, 'connected');
    void registration.registered.then(() =>
      connection.send({ type: 'present', user: userId, device: deviceId, gateway: this.address }),
    );
  }

  private groupConsumer(): GroupConsumer | undefined {
    const { config, log } = this;
    if (config.kafkaBrokers.length === 0) return undefined;
    const members = new GroupMembers(this.userService, log, this.now);
    const groupPush = new GroupPush(this.connections, members, log);
    const kafka = kafkaClient('dev-gateway', config.kafkaBrokers, log);
    return new GroupConsumer(
      kafka,
      `dev-gateway-${randomUUID()}`,
      {
        onMessage: (message) => groupPush.push(message),
        onMembershipChange: (change) => members.apply(change),
      },
      log,
    );
  }
}
