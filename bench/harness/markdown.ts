/** A report as people read it, and one phase as a line of the console. */
import type { Machine } from './machine';
import { broken, closedLoopsOf, halfOf } from './report';
import type { ClosedPhase, Part, Phase, ProductPhase, Report } from './report';
import { mean } from './trend';

/** One line about a phase, while it runs. */
export function describePhase(phase: Phase | ProductPhase): string {
  const { name, perSecond, latency, cpu, lateP99 } = phase;
  const late = 'perSecond' in phase.loop ? `, generator late ${ms(lateP99)}` : '';
  const line =
    `${name.padEnd(26)} ${perSecond.toFixed(0).padStart(6)}/s  p50 ${ms(latency.p50)}  ` +
    `p99 ${ms(latency.p99)}${late}  CPU s/1,000: ${cpuLine(cpu)}`;
  if (!('checks' in phase)) return line;
  const { storage, outcomes, checks } = phase;
  const faults = broken(checks);
  return [
    line,
    `    ${Object.entries(outcomes)
      .map(([outcome, count]) => `${count} ${outcome}`)
      .join(', ')}; stored ` +
      `${storage.storedPerSecond.toFixed(0)}/s of ${storage.appendedPerSecond.toFixed(0)}/s, lag ` +
      `${storage.lagBefore} → ${storage.lagAfter}, drained in ${storage.drainS} s; ` +
      (faults.length > 0 ? `BROKEN: ${faults.join(', ')}` : 'every message accounted for'),
  ].join('\n');
}

export function toMarkdown(name: string, report: Report): string {
  const { machine, settings, parts } = report;
  const processes = [...new Set(Object.values(parts).flatMap((part) => cpuNames(part)))];
  return `${[
    `# Load test ${name}`,
    machineLine(machine),
    `Settings: ${Object.entries(settings)
      .map(([key, value]) => `${key} ${value}`)
      .join(
        ', ',
      )}. The floor is a grpc-js server with the same proto that does nothing, under the same ` +
      'generator, right before and right after each closed loop. Latency counts from when a message was due.',
    `![throughput](${name}-throughput.svg)`,
    '## Throughput, closed loop',
    table(
      [
        'part',
        'callers',
        'messages/s',
        'floor/s',
        'ratio',
        'p50 ms',
        'p99 ms',
        'stored/s',
        'lag',
        'drain s',
      ],
      Object.values(parts).flatMap((part) => closedLoopsOf(part).map(throughputRow(part))),
    ),
    'Rounds of one load are side by side. The floor is measured by the same number of callers; on ' +
      'streams, where as many messages are unanswered, by the most.',
    '## At half of the first of each, open loop',
    table(
      ['part', 'messages/s', 'p50 ms', 'p99 ms', 'p99.9 ms', "floor's p99 ms", 'ratio'],
      Object.values(parts).map((part) => {
        const { perSecond, latency } = halfOf(part);
        return [
          part.title,
          perSecond.toFixed(0),
          latency.p50.toFixed(1),
          latency.p99.toFixed(1),
          latency.p999.toFixed(1),
          part.floor.halfP99.toFixed(1),
          part.halfP99Ratio.toFixed(2),
        ];
      }),
    ),
    `![latency](${name}-latency.svg)`,
    '## CPU seconds for 1,000 messages, closed loop, means of the rounds',
    table(
      ['part', 'callers', ...processes],
      Object.values(parts).flatMap((part) =>
        closedLoopsOf(part).map((rounds) => [
          part.title,
          String(rounds[0]?.loop.callers),
          ...processes.map((each) => mean(rounds.map(({ cpu }) => cpu[each] ?? 0)).toFixed(3)),
        ]),
      ),
    ),
    '## Every load',
    table(
      [
        'load',
        'messages/s',
        'p50',
        'p90',
        'p99',
        'p99.9',
        'max ms',
        'generator late p99',
        'outcomes',
        'checks',
      ],
      [...report.floor, ...Object.values(parts).flatMap((part) => part.phases)].map(phaseRow),
    ),
    'Checks, message by message: every call answered, none failed; what was answered "delivered" was ' +
      'pushed, once; what was acknowledged is in MySQL in the end; what was sent again had the first ' +
      'answer again. "otherwise": safe, but not as its kind expects, as an online recipient\'s message ' +
      'answered "offline".',
  ].join('\n\n')}\n`;
}

/** What it was measured on, when, and of which commit. */
export function machineLine(machine: Machine): string {
  const servers = Object.entries(machine.servers).map(
    ([server, version]) => `${server}: ${version}`,
  );
  return (
    `${machine.date}, commit ${machine.commit}. ${machine.cores} cores (${machine.cpu}), ` +
    `${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}, everything on this machine. ` +
    `${servers.join('; ')}.`
  );
}

const throughputRow =
  ({ title }: Part) =>
  (rounds: readonly ClosedPhase[]): string[] => {
    const each = (cell: (round: ClosedPhase) => string): string => rounds.map(cell).join(', ');
    return [
      title,
      String(rounds[0]?.loop.callers),
      each(({ perSecond }) => perSecond.toFixed(0)),
      each(({ floor }) => floor.toFixed(0)),
      each(({ perSecond, floor }) => (perSecond / floor).toFixed(2)),
      each(({ latency }) => latency.p50.toFixed(1)),
      each(({ latency }) => latency.p99.toFixed(1)),
      each(({ storage }) => storage.storedPerSecond.toFixed(0)),
      each(({ storage }) => `${storage.lagBefore} → ${storage.lagAfter}`),
      each(({ storage }) => storage.drainS.toFixed(1)),
    ];
  };

function phaseRow(phase: Phase | ProductPhase): string[] {
  const { name, perSecond, latency, lateP99 } = phase;
  const times = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
  const row = [name, perSecond.toFixed(0), ...times.map((each) => each.toFixed(1))];
  row.push('perSecond' in phase.loop ? lateP99.toFixed(1) : '');
  if (!('checks' in phase)) return [...row, '', ''];
  const faults = broken(phase.checks);
  const { otherwise } = phase.checks;
  const held = otherwise > 0 ? `held; otherwise ${otherwise}` : 'held';
  const outcomes = Object.entries(phase.outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  return [...row, outcomes.join(', '), faults.length > 0 ? `BROKEN: ${faults.join(', ')}` : held];
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function cpuNames(part: Part): string[] {
  return closedLoopsOf(part)
    .flat()
    .flatMap(({ cpu }) => Object.entries(cpu))
    .filter(([, seconds]) => seconds > 0)
    .map(([name]) => name);
}

/** The processes that used something, the hungriest first. */
function cpuLine(cpu: Record<string, number>): string {
  return Object.entries(cpu)
    .filter(([, seconds]) => seconds >= 0.001)
    .sort(([, a], [, b]) => b - a)
    .map(([name, seconds]) => `${name} ${seconds.toFixed(3)}`)
    .join(' ');
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
