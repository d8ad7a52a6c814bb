/** `npm start`: the servers, the service and its dev neighbours, until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';

import { appsFor, isBuilt, launchApp, stopApps, type App } from './stack/apps';
import { ownsUserService, type ServerName } from './stack/environment';
import { explain, StackError } from './stack/errors';
import { onInterrupt } from './stack/interrupt';
import { requireFree } from './stack/ports';
import { BackgroundProcess } from './stack/process';
import { endCommands } from './stack/provision/run';
import { Session } from './stack/session';
import { offsetFrom, Stack } from './stack/stack';
import { supervise, type Watched } from './stack/supervisor';

/** Migrations and the making of topics are part of the first start. */
const READY_DEADLINE_MS = 90_000;
const READY_POLL_MS = 200;
/** How long an interrupted start may take to notice that its servers are gone. */
const SETTLE_DEADLINE_MS = 15_000;

const say = (line: string): void => console.log(line);

class Start {
  private readonly stack = Stack.fromEnvironment(process.env, say);
  private readonly layout = this.stack.layout;
  private readonly apps: readonly App[];
  private readonly over = new AbortController();

  constructor() {
    const own = ownsUserService(offsetFrom(process.env));
    const wanted = appsFor(this.stack.environment, own);
    this.apps = wanted.filter((app) => isBuilt(app, this.layout));
    const absent = wanted.filter((app) => !this.apps.includes(app));
    for (const app of absent) say(`${app.name} is left out: ${app.file} is not there`);
  }

  /** Runs until interrupted; resolves with the exit code when all it started has ended. */
  async run(): Promise<number> {
    const session = await Session.begin(this.layout, 'npm start');
    const work = this.bringUp(session).then(() => this.supervise());
    const stopListening = onInterrupt({
      first: (signal) => {
        say(`\n${signal}: stopping`);
        this.over.abort();
      },
      second: () => void this.killAll(session),
    });
    const outcome = await Promise.race([
      work.then(
        () => undefined,
        (error: unknown) => ({ error }),
      ),
      aborted(this.over.signal),
    ]);
    if (outcome) console.error(`\n${explain(outcome.error)}`);
    this.over.abort();
    await this.shutDown(session, work);
    stopListening();
    return outcome ? 1 : 0;
  }

  private async bringUp(session: Session): Promise<void> {
    if (session.inherited) {
      say('cleaning up after a start that was killed');
      await stopApps(this.layout, this.stack.environment, 'SIGTERM');
    }
    const before = session.inherited ?? (await this.stack.running());
    session.keep(before);
    await requireFree(this.apps.flatMap((app) => app.ports));
    await this.stack.up();
    this.over.signal.throwIfAborted();
    await Promise.all(this.apps.map((app) => launchApp(app, this.layout, this.stack.environment)));
    await Promise.all(this.apps.map((app) => this.ready(app)));
    this.printTable();
  }

  private async ready(app: App): Promise<void> {
    if (!app.readyUrl) return;
    const child = new BackgroundProcess(app.name, this.layout);
    const began = performance.now();
    let answer = 'no answer';
    while (performance.now() - began < READY_DEADLINE_MS) {
      this.over.signal.throwIfAborted();
      answer = await ask(app.readyUrl);
      if (answer === '') {
        say(`${app.name} is ready (${((performance.now() - began) / 1000).toFixed(1)} s)`);
        return;
      }
      if (!child.running()) throw new StackError(`${app.name} ended.\n${child.logTail(30)}`);
      await sleep(READY_POLL_MS);
    }
    throw new StackError(
      `${app.name} is not ready after ${READY_DEADLINE_MS / 1000} s; ${app.readyUrl} says: ${answer}\n${child.logTail(30)}`,
    );
  }

  private async supervise(): Promise<void> {
    const apps = this.apps.map((app): Watched => {
      const child = new BackgroundProcess(app.name, this.layout);
      return {
        name: app.name,
        crashed: () => Promise.resolve(child.crashed()),
        restart: async () => {
          await launchApp(app, this.layout, this.stack.environment);
        },
        logTail: () => Promise.resolve(child.logTail()),
      };
    });
    await supervise([...(await this.stack.watched()), ...apps], say, this.over.signal);
    // All watched have been given up on; the terminal is still the person's to close.
    await aborted(this.over.signal);
  }

  /** Ends everything of this session: the apps first, so that they can finish what is in flight. */
  private async shutDown(session: Session, work: Promise<unknown>): Promise<void> {
    session.stopping();
    endCommands();
    await this.stopAll(session, 'SIGTERM');
    // Whatever was just being launched when the signal came is there by now, and goes too.
    await Promise.race([work.catch(() => undefined), sleep(SETTLE_DEADLINE_MS)]);
    await this.stopAll(session, 'SIGTERM');
    const kept = session.kept();
    session.end();
    say(kept.length > 0 ? `stopped; ${kept.join(', ')} ran before and still run` : 'stopped');
  }

  private async stopAll(session: Session, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const kept = session.kept();
    const ours = this.stack.own.filter((name: ServerName) => !kept.includes(name));
    await stopApps(this.layout, this.stack.environment, signal);
    await this.stack.down(ours, signal);
  }

  private async killAll(session: Session): Promise<void> {
    say('again: killing');
    try {
      await this.stopAll(session, 'SIGKILL');
      session.end();
    } catch (error) {
      console.error(explain(error));
    }
    process.exit(1);
  }

  private printTable(): void {
    const { environment, layout } = this.stack;
    const rows = [
      ['gRPC', `127.0.0.1:${environment.GRPC_PORT}`],
      ['REST', `http://127.0.0.1:${environment.HTTP_PORT}`],
      ['Temporal UI', environment.TEMPORAL_UI_URL],
      ['dev gateway', `ws://127.0.0.1:${environment.DEV_GATEWAY_HTTP_PORT}`],
      ['user service', environment.USER_SERVICE_ADDRESS],
      ['logs', layout.logs],
      ['try it', 'npm run demo'],
      ['servers', 'npm run stack -- status'],
    ];
    say('\nIM Service is ready.\n');
    for (const [what = '', where = ''] of rows) say(`  ${what.padEnd(14)}${where}`);
    say('\nCtrl-C stops everything.');
  }
}

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Empty when the page answers 200, otherwise what it said. */
async function ask(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
    const body = await response.text();
    return response.status === 200 ? '' : `${response.status} ${body.slice(0, 500)}`;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return cause instanceof Error ? cause.message : String(error);
  }
}

new Start().run().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(explain(error));
    process.exit(1);
  },
);
