/**
 * A map for what comes and goes thousands of times a second.
 *
 * A `Map` or `Set` that grows, or is rid of deleted entries, leaves its earlier table behind with a pointer
 * to the next one. Once one of these tables has reached the old generation, scavenges take every later
 * one for alive, and all that was in it, until a mark-compact: of entries that hold a whole call, three
 * quarters of what the server put into its old generation (bench/NOTES.md). The tables of a plain
 * object do not know of each other.
 */

/** As much of a `Map` as is needed; iterates over numbers in ascending order. */
export class PlainMap<K extends number | string, V extends object> {
  private entries = Object.create(null) as Record<K, V | undefined>;
  private count = 0;

  get size(): number {
    return this.count;
  }

  get(key: K): V | undefined {
    return this.entries[key];
  }

  has(key: K): boolean {
    return this.entries[key] !== undefined;
  }

  set(key: K, value: V): this {
    if (this.entries[key] === undefined) this.count += 1;
    this.entries[key] = value;
    return this;
  }

  delete(key: K): boolean {
    if (this.entries[key] === undefined) return false;
    delete this.entries[key];
    this.count -= 1;
    return true;
  }

  clear(): void {
    this.entries = Object.create(null) as Record<K, V | undefined>;
    this.count = 0;
  }

  /** The values of this moment. */
  values(): V[] {
    return Object.values<V | undefined>(this.entries) as V[];
  }

  forEach(callback: (value: V) => void): void {
    this.values().forEach((value) => callback(value));
  }
}
