/** How a message stands in DATA (gRPC over HTTP/2, Length-Prefixed-Message). */

/** Bytes before a message: whether it is compressed, and its length. */
export const PREFIX_BYTES = 5;

/** A message with its prefix, not compressed. */
export function framed(message: Uint8Array): Buffer {
  const body = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  body[0] = 0;
  body.writeUInt32BE(message.length, 1);
  body.set(message, PREFIX_BYTES);
  return body;
}
