/** CPU seconds, user and system, and memory that processes have used, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** What Linux counts in on every platform we know. */
const TICKS_A_SECOND = 100;

/**
 * Seconds by process name. `elsewhere` is what the machine did besides, `stolen` what its host took:
 * both say how quiet it was.
 */
export type CpuReading = Record<string, number>;

export class CpuMeter {
  /** Processes by name; a name may stand for several. */
  constructor(private readonly pids: Record<string, readonly number[]>) {}

  /** `extra` are processes that came later. */
  read(extra: Record<string, readonly number[]> = {}): CpuReading {
    const all = Object.entries({ ...this.pids, ...extra });
    const known = all.map(([name, pids]): [string, number] => [name, sum(pids.map(cpuSeconds))]);
    const { busy, stolen } = machineSeconds();
    const elsewhere = busy - sum(known.map(([, seconds]) => seconds));
    return { ...Object.fromEntries(known), elsewhere, stolen };
  }
}

/** What each process used between two readings for 1,000 messages, s. */
export function cpuPerThousand(
  before: CpuReading,
  after: CpuReading,
  messages: number,
): CpuReading {
  return Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => {
      const used = ((seconds - (before[name] ?? 0)) / Math.max(messages, 1)) * 1_000;
      return [name, Number(used.toFixed(4))];
    }),
  );
}

/** 0 for a process that is gone. */
export function cpuSeconds(pid: number): number {
  const fields = statOf(pid);
  return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND : 0;
}

/** The most memory a process has held, MB. */
export function peakMb(pid: number): number {
  const [, kb] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kb) / 1024);
}

/** Of all cores: user, nice, system, interrupts; and stolen. */
function machineSeconds(): { busy: number; stolen: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '';
  const fields = line
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) / TICKS_A_SECOND);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = fields;
  return { busy: user + nice + system + irq + softIrq, stolen };
}

/** The processes of a group, which is what a server of the stack and its children are. */
export function processGroup(leader: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => Number(statOf(pid)?.[2]) === leader);
}

/** The fields after the program's name, which may hold spaces. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // It has ended.
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
