/** The two plots of a report, as SVG of our own making: bars of throughput, curves of latency. */
import { HALF, halfOf } from './report';
import type { Report } from './report';

const WIDTH = 760;
const COLORS = ['#4878a8', '#d1705a', '#5a9e6f', '#9a6fb0', '#c9a13b', '#777777'];

/** Messages a second of each part, beside the floor's. */
export function throughputPlot({ parts }: Report): string {
  const rows = Object.values(parts);
  const [left, rowHeight] = [150, 54];
  const largest = Math.max(1, ...rows.map(({ floor }) => floor.perSecond));
  const scale = (WIDTH - left - 110) / largest;
  const bars = Object.entries(parts).map(([name, part], i) => {
    const y = 30 + i * rowHeight;
    const { perSecond } = part;
    const bar = (value: number, at: number, color: string, label: string): string =>
      `<rect x="${left}" y="${at}" width="${(value * scale).toFixed(1)}" height="18" fill="${color}"/>` +
      text(left + value * scale + 6, at + 14, label);
    return [
      text(left - 8, y + 24, name, 'end'),
      bar(perSecond, y, COLORS[0] as string, `${perSecond.toFixed(0)}/s (${part.throughputRatio})`),
      bar(part.floor.perSecond, y + 20, '#cccccc', `floor ${part.floor.perSecond.toFixed(0)}/s`),
    ].join('');
  });
  const height = 40 + rows.length * rowHeight;
  return svg(height, [text(left, 16, 'messages a second, closed loop'), ...bars]);
}

/** Percentile curves at half of capacity; the percentiles on a scale on which each nine is as wide. */
export function latencyPlot({ parts, floor }: Report): string {
  const floorHalf = floor.find(({ name }) => name.endsWith(HALF));
  const curves = [
    ...Object.entries(parts).map(
      ([name, part]) => [name, halfOf(part)?.latency.curve ?? []] as const,
    ),
    ['floor', floorHalf?.latency.curve ?? []] as const,
  ];
  const [left, top, width, height] = [60, 30, WIDTH - 220, 300];
  // The last point drawn: "100 %" has no place on this scale.
  const nines = 4;
  const x = (percentile: number): number =>
    left + (Math.min(-Math.log10(1 - percentile / 100), nines) / nines) * width;
  const all = curves.flatMap(([, curve]) => curve.map(([, ms]) => Math.max(ms, 0.1)));
  const [low, high] = [Math.log10(Math.min(...all)), Math.log10(Math.max(...all, 1))];
  const y = (ms: number): number =>
    top + height - ((Math.log10(Math.max(ms, 0.1)) - low) / Math.max(high - low, 0.1)) * height;
  const lines = curves.map(([name, curve], i) => {
    const color = name === 'floor' ? '#888888' : COLORS[i % COLORS.length];
    const points = curve
      .filter(([percentile]) => percentile < 100)
      .map(([percentile, ms]) => `${x(percentile).toFixed(1)},${y(ms).toFixed(1)}`);
    return (
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.join(' ')}"/>` +
      `<rect x="${left + width + 20}" y="${top + i * 20}" width="12" height="12" fill="${color}"/>` +
      text(left + width + 38, top + 11 + i * 20, name)
    );
  });
  const marks = [50, 90, 99, 99.9, 99.99].map(
    (p) => grid(x(p), top, x(p), top + height) + text(x(p), top + height + 18, `${p} %`, 'middle'),
  );
  const levels = [0.1, 1, 10, 100, 1_000, 10_000].filter(
    (ms) => Math.log10(ms) >= low && Math.log10(ms) <= high,
  );
  const steps = levels.map(
    (ms) => grid(left, y(ms), left + width, y(ms)) + text(left - 6, y(ms) + 4, `${ms}`, 'end'),
  );
  return svg(top + height + 40, [
    text(left, 16, 'latency, ms, at half of capacity (open loop, from the time due)'),
    ...marks,
    ...steps,
    ...lines,
  ]);
}

function grid(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="#dddddd"/>`;
}

function text(x: number, y: number, value: string, anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${value}</text>`;
}

function svg(height: number, content: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" fill="#333333">\n` +
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>\n${content.join('\n')}\n</svg>\n`
  );
}
