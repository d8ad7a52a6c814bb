/** Stands before a server and can be taken away: the server itself knows nothing of it. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class TcpProxy {
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();
  private port = 0;

  /** `target`: host:port. */
  constructor(private readonly target: string) {}

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Always at the same address. */
  async open(): Promise<void> {
    const [host, port] = this.target.split(':') as [string, string];
    this.server = createServer((client) => {
      const there = connect(Number(port), host);
      for (const socket of [client, there]) {
        this.sockets.add(socket);
        socket.on('close', () => this.sockets.delete(socket));
        // The other end hears of it by its own close.
        socket.on('error', () => socket.destroy());
      }
      client.pipe(there).pipe(client);
    }).listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.server) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
    this.server = undefined;
  }
}
