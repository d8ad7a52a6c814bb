import { offsetFrom, Stack } from '../../dev/stack/stack';
import { supervise } from '../../dev/stack/supervisor';

describe('a stack', () => {
  test('runs no server when told that they are external', () => {
    const given = { STACK: 'external', STACK_INSTANCE: 'unit' };
    expect(Stack.fromEnvironment(given).own).toEqual([]);
  });

  test('leaves the lifecycle of a server given from outside alone', async () => {
    const given = { REDIS_URL: 'redis://127.0.0.1:1', STACK_INSTANCE: 'unit' };
    const stack = Stack.fromEnvironment(given);
    expect(stack.own).not.toContain('redis');
    await expect(stack.stop('redis')).rejects.toThrow('redis is not run by this stack');
  });

  test.each(['-1', '1.5', 'many', '60000'])('refuses PORT_OFFSET %s, and says why', (value) => {
    expect(() => offsetFrom({ PORT_OFFSET: value })).toThrow(
      `PORT_OFFSET is "${value}"; allowed: a whole number, 0 to 50000.`,
    );
  });

  test('refuses an unknown STACK, and an instance name that is no folder name', () => {
    expect(() => Stack.fromEnvironment({ STACK: 'podman', STACK_INSTANCE: 'unit' })).toThrow(
      'STACK is "podman"; allowed: auto, docker, native, external.',
    );
    expect(() => Stack.fromEnvironment({ STACK_INSTANCE: '../etc' })).toThrow('STACK_INSTANCE');
  });
});

describe('a supervisor', () => {
  test('starts again what has crashed, and says so', async () => {
    const over = new AbortController();
    const said: string[] = [];
    let crashed = true;
    const watched = {
      name: 'worker',
      crashed: () => Promise.resolve(crashed),
      restart: () => {
        crashed = false;
        over.abort();
        return Promise.resolve();
      },
      logTail: () => Promise.resolve('its last words'),
    };
    await supervise([watched], (line) => said.push(line), over.signal);
    expect(said.join('\n')).toMatch(
      /worker has ended unexpectedly. its last words\n.*again in 1 s/,
    );
  });
});
