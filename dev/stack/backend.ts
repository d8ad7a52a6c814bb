/** How servers are run: as processes of this machine (`native.ts`) or in containers (`docker.ts`). */
import type { ServerName } from './environment';
import type { PortUse } from './ports';

export type StopSignal = 'SIGTERM' | 'SIGKILL';

export interface Backend {
  /** Gets what is missing to run the servers. */
  provision(names: readonly ServerName[]): Promise<void>;
  /** Where it runs, in words (`pid 12`); `undefined` while it does not. */
  whereabouts(name: ServerName): Promise<string | undefined>;
  /** Whether it has ended without having been stopped. */
  crashed(name: ServerName): Promise<boolean>;
  portsOf(name: ServerName): readonly PortUse[];
  /** Starts it without waiting until it serves; leaves one that runs with these settings alone. */
  launch(name: ServerName): Promise<void>;
  /** Returns when it is gone. */
  stop(name: ServerName, signal: StopSignal): Promise<void>;
  /** Removes the data of a stopped server. */
  wipe(name: ServerName): Promise<void>;
  /** The end of its log, for a message about a failure. */
  logTail(name: ServerName, lines?: number): Promise<string>;
}
