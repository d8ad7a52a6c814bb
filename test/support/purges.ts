/** Purging a class of data to its end. */
import type { PurgePage } from '../../src/domain/retention';

/** Every page of a class, added up. */
export async function all<P>(
  purge: (input: { after?: P }) => Promise<PurgePage<P>>,
): Promise<{ removed: number; held: number; pages: number }> {
  const sum = { removed: 0, held: 0, pages: 0 };
  for (let after: P | undefined; ;) {
    const page = await purge(after === undefined ? {} : { after });
    sum.removed += page.removed;
    sum.held += page.held;
    sum.pages += 1;
    if (page.next === undefined) return sum;
    after = page.next;
  }
}
