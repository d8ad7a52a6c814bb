/** What `npm test` runs, in which order, and how many files at a time. */
import { testFiles } from './jest';

/** Parts share servers, but no users: of them as many files at a time as CI has cores. */
const PARTS_WORKERS = 2;

export interface Phase {
  readonly name: string;
  /** Of the file with its results. */
  readonly key: string;
  /** Whether each file has a lane to itself. */
  readonly hasLanes: boolean;
  /** Files at a time. */
  readonly workers: number;
  readonly jestArgs: readonly string[];
}

interface Selection extends Omit<Phase, 'workers' | 'jestArgs'> {
  readonly select: readonly string[];
}

const FLOWS = '**/test/flows/**/*.test.ts';
const FAULTS = '**/test/faults/**/*.test.ts';
const PARTS: Selection = {
  name: 'Parts',
  key: 'parts',
  hasLanes: false,
  select: ['--testPathIgnorePatterns', '/test/flows/', '/test/faults/', '/node_modules/'],
};
const ONLY_FLOWS: Selection = onLanes('Flows', 'flows', FLOWS);
const ONLY_FAULTS: Selection = onLanes('Tests that take servers away', 'faults', FAULTS);
const REST: Selection = onLanes('Flows and tests that take servers away', 'rest', FLOWS, FAULTS);

function onLanes(name: string, key: string, ...match: string[]): Selection {
  return { name, key, hasLanes: true, select: ['--testMatch', ...match] };
}

/** The phases that have any files, by the arguments of `npm test`. */
export function phasesFor(args: readonly string[], lanes: number): Promise<Phase[]> {
  const given = args.filter((arg) => arg !== '--only-faults' && arg !== '--skip-faults');
  if (args.includes('--only-faults')) return withFiles([ONLY_FAULTS], given, lanes);
  return withFiles([PARTS, args.includes('--skip-faults') ? ONLY_FLOWS : REST], given, lanes);
}

async function withFiles(
  selections: readonly Selection[],
  given: readonly string[],
  lanes: number,
): Promise<Phase[]> {
  const phases = selections.map(async ({ select, ...rest }) => {
    const { length: files } = await testFiles([...select, '--passWithNoTests', ...given]);
    const workers = Math.min(rest.hasLanes ? lanes : PARTS_WORKERS, files);
    return { ...rest, workers, jestArgs: [...select, `--maxWorkers=${workers}`, ...given] };
  });
  return (await Promise.all(phases)).filter(({ workers }) => workers > 0);
}
