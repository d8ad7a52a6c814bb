/** `npm run stack -- COMMAND`: the servers, for people and scripts. */

import { stopApps } from './apps';
import { SERVER_NAMES, type ServerName } from './environment';
import { explain } from './errors';
import { forgetDeadSession, liveSession } from './session';
import { Stack } from './stack';

const USAGE = `Usage: npm run stack -- COMMAND

  up             start all servers and wait until they serve
  down           stop all servers; their data stays
  status         ask every server how it is
  stop NAME      take one server away
  start NAME     give it back, with its data
  restart NAME
  logs NAME      print the end of its log

NAME is one of ${SERVER_NAMES.join(', ')}.
PORT_OFFSET shifts all ports; STACK_INSTANCE names a second set of data (default: dev).`;

const EXIT_USAGE = 2;

class UsageError extends Error {}

function serverName(word: string | undefined): ServerName {
  const name = SERVER_NAMES.find((known) => known === word);
  if (name) return name;
  const said = word === undefined ? 'NAME is missing' : `there is no server "${word}"`;
  throw new UsageError(`${said}; NAME is one of ${SERVER_NAMES.join(', ')}.`);
}

/** Runs one command and returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const [command = '', word, ...rest] = args;
  const takesName = ['stop', 'start', 'restart', 'logs'].includes(command);
  if (rest.length > 0 || (word !== undefined && !takesName)) {
    throw new UsageError(`too many words after "${command}".`);
  }
  const stack = Stack.fromEnvironment(process.env, (line) => console.log(line));
  switch (command) {
    case 'up': {
      await stack.up();
      return printStatus(stack);
    }
    case 'down':
      // Those of a killed `npm start`; a live one keeps its own.
      if (!liveSession(stack.layout)) await stopApps(stack.layout, stack.environment, 'SIGTERM');
      await stack.down();
      forgetDeadSession(stack.layout);
      console.log('all servers are stopped; their data is kept');
      return 0;
    case 'status':
      return printStatus(stack);
    case 'stop':
      await stack.stop(serverName(word));
      console.log(`${word} is stopped`);
      return 0;
    case 'start':
      await stack.start(serverName(word));
      return 0;
    case 'restart':
      await stack.restart(serverName(word));
      return 0;
    case 'logs':
      console.log(await stack.logTail(serverName(word), 100));
      return 0;
    default:
      throw new UsageError(command ? `there is no command "${command}".` : 'a command is missing.');
  }
}

async function printStatus(stack: Stack): Promise<number> {
  const all = await stack.status();
  for (const { name, state, address, detail } of all) {
    console.log(`${name.padEnd(9)} ${state.padEnd(10)} ${address.padEnd(32)} ${detail}`.trimEnd());
  }
  return all.every(({ state }) => state === 'running' || state === 'external') ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${USAGE}`);
      process.exitCode = EXIT_USAGE;
    } else {
      console.error(explain(error));
      process.exitCode = 1;
    }
  },
);
