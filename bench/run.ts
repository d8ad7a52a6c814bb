/** `npm run bench [-- NAME]`: runs one of the benchmarks; without a name the load test. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const LOAD_TEST = 'load';

const names = readdirSync(__dirname)
  .filter((file) => file.endsWith('.js') && file !== 'run.js')
  .map((file) => file.slice(0, -'.js'.length));
const given = process.argv.slice(2);
const named = given[0] !== undefined && !given[0].startsWith('-');
const [name = LOAD_TEST, ...args] = named ? given : [LOAD_TEST, ...given];
if (names.includes(name)) {
  // In this process, which is the one that signals are sent to.
  const program = join(__dirname, `${name}.js`);
  process.argv.splice(1, process.argv.length, program, ...args);
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- one of many, by its name
  require(program);
} else {
  console.error(`Usage: npm run bench [-- NAME], with NAME one of ${names.join(', ')}`);
  process.exitCode = 2;
}
