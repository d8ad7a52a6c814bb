import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Layout } from '../../dev/stack/layout';
import { identityOf, isAlive, readLive, readRecord, writeRecord } from '../../dev/stack/pidfile';
import { BackgroundProcess, type Command } from '../../dev/stack/process';
import { buildOnce, exclusively } from '../../dev/stack/provision/once';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'im-stack-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A layout in a folder of the test's own. */
function layout(): Layout {
  mkdirSync(join(dir, 'run'), { recursive: true });
  return {
    log: (name: string) => join(dir, `${name}.log`),
    pidfile: (name: string) => join(dir, 'run', `${name}.json`),
  } as Layout;
}

function node(script: string): Command {
  return { file: process.execPath, args: ['-e', script], cwd: dir, env: process.env };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not come about in 10 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a pidfile', () => {
  test('is believed only for the process it was written for', () => {
    const identity = identityOf(process.pid) ?? '';
    const file = join(dir, 'p.json');
    writeRecord(file, { pid: process.pid, identity, command: [] });
    expect(readLive(file)?.pid).toBe(process.pid);
    // The pid lives, but it was given to another process since: the start time differs.
    expect(isAlive({ pid: process.pid, identity: `${identity}0`, command: [] })).toBe(false);
  });

  test('that was cut short counts as none', () => {
    expect(readRecord(join(dir, 'absent.json'))).toBeUndefined();
    expect(readRecord(__filename)).toBeUndefined();
  });
});

describe('a background process', () => {
  test('is not killed when its pid belongs to another process by now', async () => {
    const bystander = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], {
      detached: true,
      stdio: 'ignore',
    });
    const pid = bystander.pid ?? 0;
    try {
      const files = layout();
      writeRecord(files.pidfile('redis'), { pid, identity: 'an earlier boot/1', command: [] });
      await new BackgroundProcess('redis', files).stop('SIGKILL', 100);
      expect(identityOf(pid)).toBeDefined();
      expect(existsSync(files.pidfile('redis'))).toBe(false);
    } finally {
      bystander.kill('SIGKILL');
    }
  });

  test('that ignores SIGTERM is gone after its grace', async () => {
    const files = layout();
    const stubborn = new BackgroundProcess('stubborn', files);
    const script = 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1e6)';
    const { pid } = await stubborn.launch(node(script));
    await until(() => stubborn.logTail().includes('up'));
    await stubborn.stop('SIGTERM', 300);
    expect(identityOf(pid)).toBeUndefined();
  });

  test('takes what it started along', async () => {
    const parent = new BackgroundProcess('parent', layout());
    const script =
      'const c = require("child_process").spawn("sleep", ["60"]); console.log("child=" + c.pid); setInterval(() => {}, 1e6)';
    await parent.launch(node(script));
    await until(() => /child=\d+/.test(parent.logTail()));
    const child = Number(/child=(\d+)/.exec(parent.logTail())?.[1]);
    await parent.stop('SIGKILL', 5_000);
    await until(() => identityOf(child) === undefined);
  });

  test('that ends by itself has crashed; one that was stopped has not', async () => {
    const brief = new BackgroundProcess('brief', layout());
    await brief.launch(node('setTimeout(() => process.exit(3), 200)'));
    await until(() => brief.crashed());
    await brief.stop('SIGTERM', 100);
    expect(brief.crashed()).toBe(false);
  });
});

describe('work that is done once', () => {
  test('is done again when it was cut short', async () => {
    const target = join(dir, 'data');
    await expect(buildOnce(target, () => Promise.reject(new Error('cut')))).rejects.toThrow('cut');
    expect(existsSync(target)).toBe(false);
    let times = 0;
    const build = (): Promise<void> => Promise.resolve(void times++);
    await buildOnce(target, build);
    await buildOnce(target, build);
    expect(times).toBe(1);
  });

  test('is not kept back by a lock whose holder has died', async () => {
    const lock = join(dir, 'lock.json');
    writeRecord(lock, { pid: process.pid, identity: 'an earlier boot/1', command: [] });
    await expect(exclusively(lock, () => Promise.resolve('done'))).resolves.toBe('done');
  });
});
