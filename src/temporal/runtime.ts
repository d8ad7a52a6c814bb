/** Temporal's runtime, one for each process: its log goes into ours, and signals are ours to handle. */
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import type { LogLevel } from '@temporalio/worker';
import type { Logger } from '../logger';

const LEVELS: Record<LogLevel, 'trace' | 'debug' | 'info' | 'warn' | 'error'> = {
  TRACE: 'trace',
  DEBUG: 'debug',
  // Each worker's states and each bundle: of interest when something is wrong.
  INFO: 'debug',
  WARN: 'warn',
  ERROR: 'error',
};

/** Once in a process, before anything else of Temporal. */
export function installTemporalRuntime(log: Logger): void {
  const fields = ['workflowType', 'workflowId', 'activityType', 'attempt', 'taskQueue'];
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const known = fields.filter((field) => meta?.[field] !== undefined);
      const context = Object.fromEntries(known.map((field) => [field, meta?.[field] as unknown]));
      // Of an error only the text: causes and stacks of workflow code say nothing to an operator.
      const err = meta?.['error'] instanceof Error ? meta['error'].message : undefined;
      log[LEVELS[level]]({ ...context, err }, message);
    }),
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} },
    },
  });
}
