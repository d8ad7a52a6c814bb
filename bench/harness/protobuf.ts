/** The few lines of protobuf that the generator and the gateway of the benchmarks need on their hot path. */

/** `bytes` of a length-delimited field, or the number of a varint field; positions are of the whole buffer. */
export interface FieldHandlers {
  readonly onVarint: (field: number, value: number) => void;
  readonly onBytes: (field: number, start: number, end: number) => void;
}

export function stringField(field: number, value: string): Buffer {
  return bytesField(field, Buffer.from(value, 'utf8'));
}

export function bytesField(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

export function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

/** Calls the handlers with each field of a message; numbers are right up to 2^53. */
export function readFields(
  bytes: Buffer,
  start: number,
  end: number,
  handlers: FieldHandlers,
): void {
  let at = start;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < end) {
    const tag = next();
    if (tag % 8 === 0) handlers.onVarint(tag >>> 3, next());
    else if (tag % 8 === 2) {
      const length = next();
      handlers.onBytes(tag >>> 3, at, at + length);
      at += length;
    } else throw new Error(`a field of wire type ${tag % 8}, which these messages do not have`);
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 0x80);
  return Buffer.from([...bytes, rest]);
}
