/** Two reports beside each other: how the second does against the first. */
import { table } from './markdown';
import { capacityOf, halfOf } from './report';
import type { Part, Report } from './report';
import { readReport } from './results';
import { mean } from './trend';

/** For `npm run bench -- --compare A B`: names of reports, or their JSON files. */
export function compareFiles(names: readonly string[]): string {
  const [a, b] = names;
  if (a === undefined || b === undefined) throw new Error('--compare wants two reports');
  const [first, second] = [a, b].map((name) => {
    const report = readReport(name);
    if (!report) throw new Error(`there is no report ${name}`);
    return report;
  }) as [Report, Report];
  return `${b} over ${a}\n\n${compareTable(first, second)}`;
}

/**
 * A ratio for each part in both: of throughput, of p99 at half capacity, of CPU; and the change of
 * what each is over its own floor, which holds between machines too.
 */
export function compareTable(a: Report, b: Report): string {
  const names = Object.keys(a.parts).filter((name) => b.parts[name]);
  const rows = names.map((name) => {
    const [before, after] = [a.parts[name] as Part, b.parts[name] as Part];
    return [
      name,
      change(before.perSecond, after.perSecond, 0),
      change(before.throughputRatio, after.throughputRatio, 2),
      change(halfOf(before).latency.p99, halfOf(after).latency.p99, 1),
      change(before.halfP99Ratio, after.halfP99Ratio, 2),
      change(cpuOf(before, 'server'), cpuOf(after, 'server'), 3),
      change(cpuOf(before), cpuOf(after), 3),
    ];
  });
  return table(
    [
      'part',
      'messages/s',
      'over floor',
      'p99 at half, ms',
      'over floor',
      'CPU s/1,000, server',
      'CPU s/1,000, all',
    ],
    rows,
  );
}

function change(before: number, after: number, digits: number): string {
  const ratio = before === 0 ? '–' : `×${(after / before).toFixed(2)}`;
  return `${before.toFixed(digits)} → ${after.toFixed(digits)} (${ratio})`;
}

const NOT_THE_PRODUCT = new Set(['generator', 'floor', 'elsewhere', 'stolen']);

/** Of one process, or of the product and its servers together. */
function cpuOf(part: Part, process?: string): number {
  return mean(
    capacityOf(part).map(({ cpu }) => {
      if (process !== undefined) return cpu[process] ?? 0;
      return Object.entries(cpu)
        .filter(([name]) => !NOT_THE_PRODUCT.has(name))
        .reduce((sum, [, seconds]) => sum + seconds, 0);
    }),
  );
}
