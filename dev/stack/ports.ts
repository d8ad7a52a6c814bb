/** Says plainly that a port is taken, and by whom. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

import { StackError } from './errors';

export interface PortUse {
  readonly port: number;
  readonly what: string;
}

/** Throws one error that names every port of `uses` that another process holds. */
export async function requireFree(uses: readonly PortUse[]): Promise<void> {
  const checked = await Promise.all(
    uses.map(async (use) => ({ ...use, free: await isFree(use.port) })),
  );
  const taken = checked.filter((use) => !use.free);
  if (taken.length === 0) return;
  const lines = taken.map(({ port, what }) => {
    const holder = holderOf(port);
    return `Port ${port} (${what}) is taken${holder ? ` by ${holder}` : ''}.`;
  });
  throw new StackError(
    `${lines.join('\n')}\nStop what holds it, or set PORT_OFFSET (for example PORT_OFFSET=10000), which shifts all ports.`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      probe.close(() => resolve(true));
    });
  });
}

/** `program (pid N)`, where the system lets us see it: Linux, own processes or as root. */
export function holderOf(port: number): string | undefined {
  const sockets = new Set(listeningInodes(port).map((inode) => `socket:[${inode}]`));
  if (sockets.size === 0) return undefined;
  for (const pid of readdirQuietly('/proc').filter((entry) => /^\d+$/.test(entry))) {
    for (const fd of readdirQuietly(`/proc/${pid}/fd`)) {
      if (sockets.has(readQuietly(() => readlinkSync(`/proc/${pid}/fd/${fd}`)))) {
        const program = readQuietly(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
        return `${program || 'a program'} (pid ${pid})`;
      }
    }
  }
  return undefined;
}

const TCP_LISTEN = '0A';

function listeningInodes(port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => readQuietly(() => readFileSync(file, 'utf8')).split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === TCP_LISTEN)
    .map((fields) => fields[9] ?? '');
}

function readdirQuietly(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // Ended meanwhile, or another user's: the holder just stays unnamed.
  }
}

function readQuietly(read: () => string): string {
  try {
    return read();
  } catch {
    return ''; // As above.
  }
}
