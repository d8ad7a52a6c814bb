/**
 * Who drives an instance: `npm start` or `npm test`. There is one at a time, and what one that was
 * killed has left behind is the next one's to clean up.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { ServerName } from './environment';
import { StackError } from './errors';
import type { Layout } from './layout';
import {
  identityOf,
  readLive,
  readRecord,
  removeRecord,
  writeRecord,
  type ProcessRecord,
} from './pidfile';

interface SessionRecord extends ProcessRecord {
  readonly state: 'running' | 'stopping';
  /** Servers that were up before the session, and stay up after it. */
  readonly kept: readonly ServerName[];
}

/** One whose terminal or npm was killed notices within a second or two, and then stops by itself. */
const NOTICE_MS = 4_000;
/** All servers' grace periods run side by side; the longest is 20 s, and the children's come before. */
const STOPPING_DEADLINE_MS = 60_000;
const POLL_MS = 100;

/** The live session of an instance, if any. */
export function liveSession(layout: Layout): ProcessRecord | undefined {
  return readLive(fileOf(layout));
}

/** Forgets a session that was killed, once everything it left has been stopped. */
export function forgetDeadSession(layout: Layout): void {
  if (!liveSession(layout)) removeRecord(fileOf(layout));
}

function fileOf(layout: Layout): string {
  return layout.pidfile('session');
}

export class Session {
  private constructor(
    private readonly file: string,
    private readonly what: string,
    /** What an earlier session, killed before its end, would have left running; if there was one. */
    readonly inherited: readonly ServerName[] | undefined,
  ) {}

  /** Becomes the session of the instance, after an earlier one that is just ending has ended. */
  static async begin(layout: Layout, what: string): Promise<Session> {
    const file = fileOf(layout);
    await earlierIsOver(file);
    const left = readRecord<SessionRecord>(file);
    const session = new Session(file, what, left?.kept);
    session.keep(left?.kept ?? []);
    return session;
  }

  /** Writes down which servers are to be left running. */
  keep(kept: readonly ServerName[]): void {
    this.write('running', kept);
  }

  /** Which servers are to be left running. */
  kept(): readonly ServerName[] {
    return readRecord<SessionRecord>(this.file)?.kept ?? [];
  }

  /** Lets a waiting next session know that this one is about to be over. */
  stopping(): void {
    this.write('stopping', this.kept());
  }

  end(): void {
    removeRecord(this.file);
  }

  private write(state: SessionRecord['state'], kept: readonly ServerName[]): void {
    const identity = identityOf(process.pid) ?? '';
    const record: SessionRecord = { pid: process.pid, identity, command: [this.what], state, kept };
    writeRecord(this.file, record);
  }
}

async function earlierIsOver(file: string): Promise<void> {
  const began = Date.now();
  for (;;) {
    const earlier = readLive<SessionRecord>(file);
    if (!earlier) return;
    const patience = earlier.state === 'stopping' ? STOPPING_DEADLINE_MS : NOTICE_MS;
    if (Date.now() - began > patience) {
      throw new StackError(
        `\`${earlier.command.join(' ')}\` is running already (pid ${earlier.pid}). Stop it, or set PORT_OFFSET and STACK_INSTANCE to run a second one beside it.`,
      );
    }
    await sleep(POLL_MS);
  }
}
