/** Structured logs. Never content, never a token: log ids, codes, counts and times. */
import pino from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/** A logger that writes JSON lines to standard output. */
export function createLogger(level: string, process: string): Logger {
  return pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime });
}
