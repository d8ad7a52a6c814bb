/** Starting and stopping a small HTTP server. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LOOPBACK } from './env';

/** Binds to `host` and resolves with the port taken. */
export function listenHttp(server: Server, port: number, host = LOOPBACK): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Stops listening and cuts every connection that is still open. */
export function closeHttp(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
