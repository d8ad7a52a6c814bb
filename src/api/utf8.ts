/**
 * Finds invalid UTF-8 in a request. protobufjs decodes it to U+FFFD without a word, and what a user
 * wrote would be changed silently; so a request that decodes to any U+FFFD is looked at in its bytes.
 */
import { isUtf8 } from 'node:buffer';
import { Reader } from 'protobufjs/minimal';

const REPLACEMENT = '\uFFFD';
const LENGTH_DELIMITED = 2;
/** `map<string, string> metadata = 6` of both Route requests: entries hold strings one level down. */
const MAP_FIELD = 6;

/** Whether any string of the decoded message holds U+FFFD: cheap, and nearly always false. */
export function mayBeInvalid(decoded: object): boolean {
  return Object.values(decoded).some((value: unknown) => {
    if (typeof value === 'string') return value.includes(REPLACEMENT);
    if (value === null || typeof value !== 'object') return false;
    return Object.entries(value).flat().join('').includes(REPLACEMENT);
  });
}

/** Whether any string field of the encoded Route request is not valid UTF-8. */
export function hasInvalidUtf8(bytes: Buffer): boolean {
  const reader = Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) !== LENGTH_DELIMITED) {
      reader.skipType(tag & 7);
      continue;
    }
    const field = Buffer.from(reader.bytes());
    const invalid = tag >>> 3 === MAP_FIELD ? hasInvalidUtf8(field) : !isUtf8(field);
    if (invalid) return true;
  }
  return false;
}
