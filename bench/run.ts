/** `npm run bench [-- NAME]`: runs one of the benchmarks; without a name the load test. */
import { spawnSync } from 'node:child_process';
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
  const { status } = spawnSync(process.execPath, [join(__dirname, `${name}.js`), ...args], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else {
  console.error(`Usage: npm run bench [-- NAME], with NAME one of ${names.join(', ')}`);
  process.exitCode = 2;
}
