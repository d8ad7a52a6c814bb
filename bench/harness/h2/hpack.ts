/**
 * Header blocks (RFC 7541) of fixed content. A connection's first request teaches its peer the fields
 * that all requests share; the others name them by index, as every real client does. Blocks that come
 * in are never decoded: what they say can be told from the frames.
 */

/** Indexes of HPACK's static table. */
const STATIC = { authority: 1, methodPost: 3, path: 4, schemeHttp: 6, status200: 8 };
const STATIC_NAME = { contentType: 31, userAgent: 58 };
const FIRST_DYNAMIC = 62;

const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const WITHOUT_INDEXING = 0x00;
/** The largest name index in a literal without indexing that takes no second byte. */
const SHORT_NAME_INDEX = 14;

export interface RequestHeaders {
  /** For the first request of a connection. */
  readonly first: Buffer;
  /** For all that follow. */
  readonly next: Buffer;
}

/** The headers of a unary or streaming gRPC request; `more` as every request has them. */
export function requestHeaders(
  authority: string,
  path: string,
  more: readonly (readonly [name: string, value: string])[] = [['grpc-timeout', '10S']],
): RequestHeaders {
  const shared = [
    field(WITH_INDEXING, STATIC.authority, authority),
    field(WITH_INDEXING, STATIC_NAME.contentType, 'application/grpc'),
    field(WITH_INDEXING, 'te', 'trailers'),
    field(WITH_INDEXING, STATIC_NAME.userAgent, 'im-bench/1'),
    ...more.map(([name, value]) => field(WITH_INDEXING, name, value)),
  ];
  const own = Buffer.concat([
    Buffer.from([INDEXED | STATIC.methodPost, INDEXED | STATIC.schemeHttp]),
    field(WITHOUT_INDEXING, STATIC.path, path),
  ]);
  const known = shared.map((_, i) => INDEXED | (FIRST_DYNAMIC + shared.length - 1 - i));
  return {
    first: Buffer.concat([own, ...shared]),
    next: Buffer.concat([own, Buffer.from(known)]),
  };
}

/** The headers before an answer. */
export const ANSWER_HEADERS = Buffer.concat([
  Buffer.from([INDEXED | STATIC.status200]),
  field(WITHOUT_INDEXING, 'content-type', 'application/grpc'),
]);

/** The trailers of a call that went well. */
export const OK_TRAILERS = field(WITHOUT_INDEXING, 'grpc-status', '0');

function field(kind: number, name: number | string, value: string): Buffer {
  if (typeof name === 'string')
    return Buffer.concat([Buffer.from([kind]), text(name), text(value)]);
  if (kind === WITHOUT_INDEXING && name > SHORT_NAME_INDEX) throw new Error('index too large');
  return Buffer.concat([Buffer.from([kind | name]), text(value)]);
}

/** Not Huffman-coded; the length has to fit into one byte. */
function text(value: string): Buffer {
  if (value.length > 126) throw new Error('text too long for these headers');
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
}
