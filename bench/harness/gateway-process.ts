/**
 * The gateways of the benchmarks, in a process of their own that costs little: several addresses, each
 * as a gateway of its own to the product; presences in etcd on leases; and a count of each push.
 */
import { Etcd3 } from 'etcd3';
import type { Lease } from 'etcd3';
import { UnaryServer } from './h2/unary-server';
import { readFields, varintField } from './protobuf';
import { MESSAGE_DIGITS } from './traffic';

/** As deployed gateways have it (contracts.md): etcd3 renews each third of it. */
const LEASE_S = 90;
/** Registrations that share a lease, and puts at once. */
const LEASE_SHARE = 500;
const PUTS_AT_ONCE = 100;

export type GatewayRequest =
  | { readonly kind: 'listen'; readonly etcd: string; readonly addresses: number }
  /** Registers a device of each user; they are spread over the gateways, or all at `address`. */
  | { readonly kind: 'register'; readonly users: readonly string[]; readonly address?: string }
  /** Whether the first gateway answers. */
  | { readonly kind: 'silence'; readonly silent: boolean }
  /** How often each message of a load was pushed, by its number. */
  | { readonly kind: 'pushes'; readonly run: string }
  /** Pushes so far, of all loads. */
  | { readonly kind: 'count' };

class Gateways {
  private readonly servers: UnaryServer[] = [];
  private readonly leases: Lease[] = [];
  private readonly counts = new Map<string, Uint8Array>();
  private addresses: string[] = [];
  private etcd: Etcd3 | undefined;
  private total = 0;
  private silent = false;

  async handle(request: GatewayRequest): Promise<unknown> {
    switch (request.kind) {
      case 'listen':
        return this.listen(request.etcd, request.addresses);
      case 'register':
        return this.register(request.users, request.address);
      case 'silence':
        this.silent = request.silent;
        return undefined;
      case 'pushes':
        return this.counts.get(request.run) ?? new Uint8Array();
      case 'count':
        return this.total;
    }
  }

  private async listen(etcd: string, addresses: number): Promise<string[]> {
    this.etcd = new Etcd3({ hosts: [etcd] });
    // success, and one device reached. A health check gets it too: any answer will do there.
    const answer = Buffer.concat([varintField(1, 1), varintField(2, 1)]);
    for (let i = 0; i < addresses; i++) {
      const server = new UnaryServer({
        answer,
        answers: () => i > 0 || !this.silent,
        onMessage: (bytes, start, end) => this.onMessage(bytes, start, end),
      });
      this.servers.push(server);
      this.addresses.push(`127.0.0.1:${await server.listen()}`);
    }
    return this.addresses;
  }

  private async register(users: readonly string[], address?: string): Promise<void> {
    const { etcd } = this;
    if (!etcd) throw new Error('not listening yet');
    const connectedAt = Math.floor(Date.now() / 1_000);
    let lease: Lease | undefined;
    for (let i = 0; i < users.length; i += PUTS_AT_ONCE) {
      if (i % LEASE_SHARE === 0) this.leases.push((lease = etcd.lease(LEASE_S)));
      const id = await lease?.grant();
      const some = users.slice(i, i + PUTS_AT_ONCE);
      await Promise.all(
        some.map((user, k) => {
          const at = address ?? this.addresses[(i + k) % this.addresses.length];
          const put = etcd.put(`/registry/users/${user}/phone`).value(`${at}|${connectedAt}`);
          return put.lease(id as string).exec();
        }),
      );
    }
  }

  /** PushMessage begins with the message's id; a health check is empty. */
  private onMessage(bytes: Buffer, start: number, end: number): void {
    let idAt = -1;
    let idEnd = -1;
    readFields(bytes, start, end, {
      onVarint: () => undefined,
      onBytes: (field, from, to) => {
        if (field !== 1) return;
        idAt = from;
        idEnd = to;
      },
    });
    if (idEnd - idAt <= MESSAGE_DIGITS) return;
    this.total += 1;
    const run = bytes.toString('latin1', idAt, idEnd - MESSAGE_DIGITS);
    let n = 0;
    for (let at = idEnd - MESSAGE_DIGITS; at < idEnd; at++) n = n * 10 + (bytes[at] as number) - 48;
    let counts = this.counts.get(run);
    if (!counts || n >= counts.length) {
      const larger = new Uint8Array(Math.max(1 << 16, n * 2));
      larger.set(counts ?? []);
      this.counts.set(run, (counts = larger));
    }
    counts[n] = Math.min((counts[n] as number) + 1, 255);
  }
}

const gateways = new Gateways();
process.on('message', ({ id, request }: { id: number; request: GatewayRequest }) => {
  gateways.handle(request).then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
