/** Calls to Temporal of one page of the sweep, several at once: one by one they would outlast its time. */

const CONCURRENCY = 32;

/** Rejects with the first failure, and begins nothing more then. */
export async function inParallel<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items].reverse();
  const lane = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  } finally {
    left.length = 0;
  }
}
