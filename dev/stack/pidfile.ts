/**
 * Who is running, remembered across processes. A pid alone is not proof: it may have been given to
 * another program since, so each record carries the start time of its process too.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export interface ProcessRecord {
  readonly pid: number;
  /** What tells this process from any other that ever had its pid. */
  readonly identity: string;
  /** The command line, to see whether a running server was started with today's settings. */
  readonly command: readonly string[];
  /** Set while it is being stopped, so that its end is not taken for a crash. */
  readonly stopping?: true;
}

/** The identity of a live process; `undefined` when there is none, or only a zombie. */
export function identityOf(pid: number): string | undefined {
  if (existsSync('/proc/self/stat')) return identityFromProc(pid);
  try {
    const out = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return out === '' || out.startsWith('Z') ? undefined : out.replace(/^\S+\s+/, '');
  } catch {
    return undefined; // ps exits 1 when there is no such process.
  }
}

function identityFromProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // No such process.
  }
  // The program's name may hold spaces and parentheses; the fields after its last ")" are regular.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTicks] = [fields[0], Number(fields[17]), fields[19]];
  // A killed process whose first thread is a zombie still holds its ports while others are ending.
  if (state === 'X' || (state === 'Z' && threads <= 1)) return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}/${startTicks}`;
}

/** Whether the very process that was recorded is still alive. */
export function isAlive(record: ProcessRecord): boolean {
  return identityOf(record.pid) === record.identity;
}

/** The record in `file` if its process is alive. */
export function readLive<R extends ProcessRecord = ProcessRecord>(file: string): R | undefined {
  const record = readRecord<R>(file);
  return record && isAlive(record) ? record : undefined;
}

/** The record in `file`, alive or not. A file that cannot be read as one counts as none. */
export function readRecord<R extends ProcessRecord = ProcessRecord>(file: string): R | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as R;
    return Number.isInteger(record.pid) && record.identity ? record : undefined;
  } catch {
    return undefined; // Removed just now by another process, or not ours.
  }
}

/** Written beside and renamed, so that a reader never sees half a record. */
export function writeRecord(file: string, record: ProcessRecord): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record));
  renameSync(draft, file);
}

export function removeRecord(file: string): void {
  rmSync(file, { force: true });
}
