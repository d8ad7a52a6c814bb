/** Whether a figure grows, and its middle. */

/** Least squares through points of (minute, value): value an hour. */
export function slopePerHour(points: readonly (readonly [number, number])[]): number {
  if (points.length < 2) return 0;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const below = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return below === 0 ? 0 : (above / below) * 60;
}

/** Medians of the first and the last third. */
export function thirds(values: readonly number[]): [first: number, last: number] {
  const size = Math.max(1, Math.floor(values.length / 3));
  return [median(values.slice(0, size)), median(values.slice(-size))];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [below = NaN, at = NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 ? at : (below + at) / 2;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
