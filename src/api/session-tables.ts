/** Node keeps the streams of an HTTP/2 session in a `Map` and a `Set`; see plain-map.ts for what that costs. */
import http2 from 'node:http2';
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import { PlainMap, PlainSet } from '../activities/plain-map';

/** What Node keeps of a session, under a symbol of its own. */
interface SessionState {
  streams: Pick<Map<number, object>, 'size' | 'get' | 'set' | 'delete'> | PlainMap<number, object>;
  pendingStreams: Pick<Set<object>, 'size' | 'add' | 'delete'> | PlainSet<object>;
}

/**
 * Runs `listen`; the HTTP/2 servers that are made meanwhile keep the streams of their sessions in plain
 * tables. A Node that keeps them otherwise is left as it is.
 */
export async function withPlainSessionTables<T>(listen: () => Promise<T>): Promise<T> {
  const create = http2.createServer;
  const createPlain = (...args: Parameters<typeof create>): Http2Server =>
    create(...args).on('session', replaceTables);
  http2.createServer = createPlain as typeof create;
  try {
    return await listen();
  } finally {
    http2.createServer = create;
  }
}

/** Exported for the test, which is how a Node that keeps them otherwise is noticed. */
export function sessionState(session: ServerHttp2Session): SessionState | undefined {
  return Object.getOwnPropertySymbols(session)
    .map((symbol) => Reflect.get(session, symbol) as unknown)
    .find(isSessionState);
}

function replaceTables(session: ServerHttp2Session): void {
  const state = sessionState(session);
  // Nothing is in them yet: this comes before the session's first frame is read.
  if (!state || state.streams.size > 0 || state.pendingStreams.size > 0) return;
  state.streams = new PlainMap();
  state.pendingStreams = new PlainSet();
}

function isSessionState(value: unknown): value is SessionState {
  if (typeof value !== 'object' || value === null) return false;
  const { streams, pendingStreams } = value as Partial<SessionState>;
  return typeof streams?.get === 'function' && typeof pendingStreams?.add === 'function';
}
