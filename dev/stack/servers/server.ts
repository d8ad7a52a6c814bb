/** What the native stack needs to know of a server; one file beside this for each. */
import type { Ports, ServerName } from '../environment';
import type { Layout } from '../layout';
import type { PortUse } from '../ports';
import type { Command } from '../process';

export interface NativeServer {
  readonly name: ServerName;
  readonly ports: readonly PortUse[];
  /** How long an orderly end may take before it is killed. */
  readonly stopGraceMs: number;
  /** Debian packages to install for it; none when its programs are there already. */
  missingPackages(): Promise<string[]>;
  /** Gets what is not installed as a package. Runs after the packages are there. */
  fetch(report: Report): Promise<void>;
  /** Makes its data folder if there is none. */
  prepare(): Promise<void>;
  command(): Promise<Command>;
}

export interface ServerContext {
  readonly layout: Layout;
  readonly ports: Ports;
}

export type Report = (line: string) => void;

/**
 * The environment of a server: nothing of the caller's that it could take for a setting. (etcd
 * reads ETCD_*, the Temporal CLI TEMPORAL_*, and both names are in use for our own settings.)
 */
export function serverEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, TZ } = process.env;
  return { PATH, HOME, TMPDIR, TZ, LANG: 'C.UTF-8', ...extra };
}
