/** The servers under the tests, to be taken away and given back. Only for `test/faults`. */
import { Stack } from '../../dev/stack/stack';
import type { ServerName } from '../../dev/stack/environment';

/** The stack that `npm test` started. */
export function testStack(): Stack {
  return Stack.fromEnvironment(process.env);
}

/** Takes a server away, does `during`, and gives it back whatever happens. */
export async function without<T>(name: ServerName, during: () => Promise<T>): Promise<T> {
  const stack = testStack();
  await stack.stop(name, { signal: 'SIGKILL' });
  try {
    return await during();
  } finally {
    await stack.start(name);
  }
}
