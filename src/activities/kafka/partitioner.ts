/**
 * Which partition a key is on: the same as kafkajs's default and Kafka's Java client say.
 *
 * Own code, because kafkajs reckons with a `BigInt` object for every step of every four bytes
 * (bench/NOTES.md).
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** The partition our producers put a key on, of a topic with that many. */
export function partitionOf(key: string | Buffer, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions;
}

/** MurmurHash 2 of 32 bits, with Kafka's seed. */
function murmur2(data: Buffer): number {
  const whole = data.length & ~3;
  let h = SEED ^ data.length;
  for (let i = 0; i < whole; i += 4) {
    let k = Math.imul(data.readInt32LE(i), M);
    k = Math.imul(k ^ (k >>> 24), M);
    h = Math.imul(h, M) ^ k;
  }
  if (whole < data.length) {
    for (let i = data.length - 1; i >= whole; i--) {
      h ^= (data[i] as number) << (8 * (i - whole));
    }
    h = Math.imul(h, M);
  }
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}
