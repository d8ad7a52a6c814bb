/** The header blocks of responses, encoded ahead where they are always the same. */
import { status } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';
import { encodeHeaders } from '../../http2/hpack';
import type { Header } from '../../http2/hpack';
import type { Status } from './status-error';

const HEADERS: readonly Header[] = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
  ['grpc-accept-encoding', 'identity,deflate,gzip'],
];

/** Before the messages of a response. */
export const RESPONSE_HEADERS = encodeHeaders(HEADERS);

const OK = encodeHeaders([['grpc-status', '0']]);

/** What ends a response. */
export function trailers(ending: Status): Buffer {
  if (ending.code === status.OK && !ending.metadata) return OK;
  return encodeHeaders(trailingHeaders(ending));
}

/** The whole of a response that has no message. */
export function trailersOnly(ending: Status): Buffer {
  return encodeHeaders([...HEADERS, ...trailingHeaders(ending)]);
}

/** An answer to what is no gRPC. */
export function plainHttp(statusCode: number): Buffer {
  return encodeHeaders([[':status', String(statusCode)]]);
}

function trailingHeaders({ code, details, metadata }: Status): Header[] {
  const headers: Header[] = [['grpc-status', String(code)]];
  if (details) headers.push(['grpc-message', percentEncoded(details)]);
  if (metadata) headers.push(...metadataHeaders(metadata));
  return headers;
}

/** Of what is no printable ASCII (gRPC over HTTP/2, Status-Message). */
function percentEncoded(text: string): string {
  // By way of bytes, which leaves no lone surrogate: those cannot be encoded.
  return encodeURI(Buffer.from(text).toString());
}

function metadataHeaders(metadata: Metadata): Header[] {
  return Object.entries(metadata.toHttp2Headers()).flatMap(([name, values]) =>
    [values ?? []].flat().map((value): Header => [name, String(value)]),
  );
}
