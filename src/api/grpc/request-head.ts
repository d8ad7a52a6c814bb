/** What a request's headers say (gRPC over HTTP/2, Requests); no handler of ours reads metadata, so none is kept. */
import { status } from '@grpc/grpc-js';
import { HeaderDecoder, knownHeaders } from '../../http2/hpack';
import { ERROR } from '../../http2/frames';
import { MAX_HEADER_LIST_BYTES } from '../../http2/header-frames';
import { StatusError } from './status-error';

/** RFC 9113, §6.5.2: what a peer may use before our settings say otherwise; they do not. */
const TABLE_BYTES = 4_096;

/** What a field is to us, found once for all requests that name it by its index. */
type Kind =
  | 'malformed'
  | 'method'
  | 'path'
  | 'scheme'
  | 'authority'
  | 'contentType'
  | 'contentLength'
  | 'timeout'
  | 'encoding'
  | 'other';

interface Field {
  readonly kind: Kind;
  readonly value: string;
  readonly isPseudo: boolean;
}

/** Resets its stream with an HTTP/2 error code: the request, but not the connection, is broken. */
export class StreamError extends Error {
  override readonly name = 'StreamError';

  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message);
  }
}

export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  readonly contentLength: number | undefined;
  readonly timeout: string | undefined;
  /** Of compressed messages. */
  readonly encoding: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  ':method': 'method',
  ':path': 'path',
  ':scheme': 'scheme',
  ':authority': 'authority',
  'content-type': 'contentType',
  'content-length': 'contentLength',
  'grpc-timeout': 'timeout',
  'grpc-encoding': 'encoding',
};
/** RFC 9113, §8.2.2. */
const CONNECTION_SPECIFIC = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
/** RFC 9110, §5.6.2, without capitals. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113, §8.2.1. */
const FORBIDDEN_IN_VALUE = /[\0\r\n]/;

const KNOWN_FIELDS = knownHeaders(fieldOf);

/** Of one connection. */
export function headerDecoder(): HeaderDecoder<Field> {
  const limits = { tableBytes: TABLE_BYTES, listBytes: MAX_HEADER_LIST_BYTES };
  return new HeaderDecoder(KNOWN_FIELDS, fieldOf, limits);
}

function fieldOf(name: string, value: string): Field {
  return { kind: kindOf(name, value), value, isPseudo: name.startsWith(':') };
}

function kindOf(name: string, value: string): Kind {
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (FORBIDDEN_IN_VALUE.test(value)) return 'malformed';
  if (kind) return kind;
  if (name === 'te' && value !== 'trailers') return 'malformed';
  return NAME.test(name) && !CONNECTION_SPECIFIC.has(name) ? 'other' : 'malformed';
}

/** Throws {@link StreamError} for what RFC 9113, §8 calls malformed. */
export function readHead(fields: readonly Field[]): RequestHead {
  const pseudo = { method: '', path: '', scheme: '', authority: '' };
  const head = {
    method: '',
    path: '',
    contentType: '',
    contentLength: undefined as number | undefined,
    timeout: undefined as string | undefined,
    encoding: 'identity',
  };
  let regular = false;
  for (const { kind, value, isPseudo } of fields) {
    if (kind === 'malformed' || (isPseudo && regular)) throw malformed();
    if (!isPseudo) regular = true;
    switch (kind) {
      case 'method':
      case 'path':
      case 'scheme':
      case 'authority':
        if (pseudo[kind] !== '') throw malformed();
        pseudo[kind] = value;
        break;
      case 'contentLength':
        head.contentLength = lengthOf(value);
        break;
      case 'contentType':
      case 'timeout':
      case 'encoding':
        head[kind] = value;
        break;
      case 'other':
    }
  }
  if (pseudo.method === '' || pseudo.path === '' || pseudo.scheme === '') throw malformed();
  head.method = pseudo.method;
  head.path = pseudo.path;
  return head;
}

/** Headers after a request's messages; throws {@link StreamError}. */
export function checkTrailers(fields: readonly Field[]): void {
  if (fields.some(({ kind, isPseudo }) => kind === 'malformed' || isPseudo)) throw malformed();
}

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** The milliseconds of a `grpc-timeout`; throws {@link StatusError}. */
export function timeoutMs(value: string): number {
  const [, digits, unit] = TIMEOUT.exec(value) ?? [];
  if (digits === undefined || unit === undefined) {
    throw new StatusError(status.INTERNAL, `Invalid grpc-timeout value "${value}"`);
  }
  return Number(digits) * (UNIT_MS[unit] as number);
}

function lengthOf(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw malformed();
  return Number(value);
}

function malformed(): StreamError {
  return new StreamError('the headers are malformed', ERROR.protocol);
}
