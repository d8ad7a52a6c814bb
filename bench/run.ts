/** `npm run bench -- NAME`: runs one of the benchmarks. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const names = readdirSync(__dirname)
  .filter((file) => file.endsWith('.js') && file !== 'run.js')
  .map((file) => file.slice(0, -'.js'.length));
const [name = '', ...args] = process.argv.slice(2);
if (names.includes(name)) {
  const { status } = spawnSync(process.execPath, [join(__dirname, `${name}.js`), ...args], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else {
  console.error(`Usage: npm run bench -- NAME, with NAME one of ${names.join(', ')}`);
  process.exitCode = 2;
}
