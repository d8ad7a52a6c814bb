/** What the benchmarks compute: percentiles, trends, mixes, and the table of a comparison. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compareTable } from '../../bench/harness/compare';
import { Latencies } from '../../bench/harness/latencies';
import type { LatencySummary } from '../../bench/harness/latencies';
import { toMarkdown } from '../../bench/harness/markdown';
import { latencyPlot, throughputPlot } from '../../bench/harness/plots';
import { scrape } from '../../bench/harness/metrics';
import { capacityOf } from '../../bench/harness/report';
import type { Part, ProductPhase, Report } from '../../bench/harness/report';
import { slopePerHour, thirds } from '../../bench/harness/trend';
import { mixTable } from '../../bench/harness/traffic';

function summaryOf(times: readonly number[]): LatencySummary {
  const latencies = new Latencies();
  for (const ms of times) latencies.record(ms);
  return latencies.summary();
}

test('percentiles are right to three digits, over four orders of magnitude', () => {
  const times = Array.from({ length: 10_000 }, (_, i) => 0.1 + i);
  const { count, p50, p90, p99, p999, max } = summaryOf(times);
  expect(count).toBe(10_000);
  for (const [seen, exact] of [
    [p50, 5_000],
    [p90, 9_000],
    [p99, 9_900],
    [p999, 9_990],
    [max, 10_000],
  ] as const) {
    expect(Math.abs(seen - exact) / exact).toBeLessThan(0.002);
  }
});

test('a slope is found through noise, and thirds tell growth from none', () => {
  const points = Array.from({ length: 60 }, (_, i): [number, number] => [i, 100 + i / 2 + (i % 2)]);
  expect(slopePerHour(points)).toBeCloseTo(30, 0);
  expect(thirds([1, 1, 9, 5, 5, 2, 2, 2, 2])).toEqual([1, 2]);
});

test('a mix has its shares, interleaved', () => {
  const kind = {
    method: 'RoutePrivateMessage',
    sender: 's',
    target: 't',
    targets: 1,
    contentBytes: 1,
  } as const;
  const table = mixTable([70, 22, 8].map((share) => ({ ...kind, share })));
  const counts = [0, 1, 2].map((which) => table.filter((each) => each === which).length);
  expect(counts).toEqual([700, 220, 80]);
  expect(table.slice(0, 20)).toContain(2);
});

function phase(name: string, perSecond: number, p99: number): ProductPhase {
  return {
    name,
    loop: name.includes('%') ? { perSecond } : { callers: 50 },
    perSecond,
    latency: { ...summaryOf([p99]), p99 },
    lateP99: 0,
    cpu: { server: 0.4, mysql: 0.1, generator: 9, elsewhere: 9 },
    outcomes: { delivered: 100 },
    codes: {},
    resends: { sent: 0, matching: 0 },
    storage: { appendedPerSecond: 1, storedPerSecond: 1, lagBefore: 0, lagAfter: 0, drainS: 0 },
    checks: {
      failed: 0,
      neverPushed: 0,
      pushedTwice: 0,
      notStored: 0,
      otherAnswer: 0,
      otherwise: 0,
    },
  };
}

function closed(callers: number, perSecond: number, floor: number): ProductPhase {
  return { ...phase(`online by ${callers} callers`, perSecond, 30), loop: { callers }, floor };
}

function report(perSecond: number, p99: number): Report {
  const part: Part = {
    title: 'Online',
    date: '2026-01-01',
    perSecond,
    floor: { perSecond: 10_000, halfP99: 5 },
    throughputRatio: perSecond / 10_000,
    halfP99Ratio: p99 / 5,
    phases: [
      closed(50, perSecond, 10_000),
      closed(50, perSecond + 500, 10_000),
      closed(200, 6_000, 12_000),
      phase('online at 50 %', 500, p99),
    ],
  };
  const machine = {
    date: '2026-01-01',
    commit: 'abc',
    cores: 2,
    cpu: 'some',
    memoryGiB: 4,
    platform: 'linux x64',
    node: 'v20',
    servers: { mysql: '10' },
  };
  return {
    machine,
    settings: {},
    floor: [phase('floor at 50 %', 5_000, 5)],
    parts: { online: part },
  };
}

test('a comparison gives each figure before and after, with its ratio, and leaves the generator out', () => {
  const text = compareTable(report(1_000, 20), report(2_500, 10));
  expect(text).toContain('| online | 1000 → 2500 (×2.50) | 0.10 → 0.25 (×2.50) |');
  expect(text).toContain('20.0 → 10.0 (×0.50) | 4.00 → 2.00 (×0.50)');
  expect(text).toContain('0.500 → 0.500 (×1.00)');
});

test('a report names the machine and the broken checks, and its plots hold their values', () => {
  const good = report(1_000, 20);
  expect(toMarkdown('x', good)).toMatch(
    /2 cores \(some\)[\s\S]*\| Online \| 50 \| 1000, 1500 \| 10000, 10000 \| 0.10, 0.15 \|/,
  );
  const [first, ...rest] = good.parts['online']?.phases as ProductPhase[];
  const lost = {
    ...(first as ProductPhase),
    checks: { ...(first as ProductPhase).checks, notStored: 3 },
  };
  const bad = {
    ...good,
    parts: { online: { ...(good.parts['online'] as Part), phases: [lost, ...rest] } },
  };
  expect(toMarkdown('x', bad)).toContain('BROKEN: notStored 3');
  expect(throughputPlot(good)).toContain('1000/s (0.1)');
  expect(latencyPlot(good)).toContain('<polyline');
});

test('the rounds of each number of callers stand together, and the first give the capacity', () => {
  const good = report(1_000, 20);
  expect(toMarkdown('x', good)).toContain('| Online | 200 | 6000 | 12000 | 0.50 |');
  const [part] = Object.values(good.parts) as [Part];
  expect(capacityOf(part).map(({ perSecond }) => perSecond)).toEqual([1_000, 1_500]);
});

test('metrics are read by series, and summed by name', async () => {
  const text = '# HELP a b\na{x="1"} 2\na{x="2"} 3\nb 1.5e3\n';
  const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const metrics = await scrape((server.address() as AddressInfo).port);
  server.close();
  server.closeAllConnections();
  expect(Object.fromEntries(metrics)).toEqual({ 'a{x="1"}': 2, 'a{x="2"}': 3, a: 5, b: 1500 });
});
