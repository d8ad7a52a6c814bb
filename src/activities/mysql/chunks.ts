/** Multi-row statements of bounded size. */

/** Rows of one statement: beyond a few hundred, larger statements gain nothing and lock for longer. */
export const MAX_ROWS = 500;
/** UTF-16 units of one statement; escaped and as UTF-8 it stays below a `max_allowed_packet` of 16 MiB. */
const MAX_UNITS = 2_000_000;

/** `rows` in pieces of at most {@link MAX_ROWS}, and of bounded text where `unitsOf` is given. */
export function chunks<T>(rows: readonly T[], unitsOf: (row: T) => number = () => 0): T[][] {
  const pieces: T[][] = [];
  let units = Infinity;
  for (const row of rows) {
    const size = unitsOf(row);
    const last = pieces.at(-1);
    if (last && last.length < MAX_ROWS && units + size <= MAX_UNITS) {
      last.push(row);
      units += size;
    } else {
      pieces.push([row]);
      units = size;
    }
  }
  return pieces;
}
