/** The checksum of Kafka's batches, CRC-32C. Node's zlib knows another polynomial only. */

/** The polynomial, its bits in reverse. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** Of the bytes in a range, as a number from 0. */
export function crc32c(bytes: Buffer, from: number, to: number): number {
  let crc = -1;
  for (let i = from; i < to; i++) {
    crc = (TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
