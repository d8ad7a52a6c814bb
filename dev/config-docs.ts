/**
 * Writes `.env.example` and the README's configuration table from the schema (`npm run docs:config`);
 * a test holds both against it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS } from '../src/config-schema';
import type { Setting } from '../src/config-setting';
import { projectRoot } from '../src/paths';

const BEGIN = '<!-- configuration: written by npm run docs:config -->';
const END = '<!-- end of configuration -->';

const settings = Object.entries(SETTINGS) as [string, Setting<unknown>][];

/** The text of `.env.example`: every setting with its default, commented out. */
export function envExample(): string {
  const lines = settings.flatMap(([name, { meaning, allowed, fallback }]) => [
    `# ${meaning} Allowed: ${allowed}.`,
    `# ${name}=${fallback ?? ''}`,
    '',
  ]);
  return [
    '# Every setting of the service, at its default. Written by npm run docs:config.',
    '',
    ...lines,
  ].join('\n');
}

/** The README with its configuration table replaced. Throws when it has no place for one. */
export function withTable(readme: string): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no "${BEGIN}" … "${END}"`);
  return `${readme.slice(0, begin)}${BEGIN}\n\n${table()}\n\n${readme.slice(end)}`;
}

function table(): string {
  const rows = settings.map(
    ([name, { meaning, allowed, fallback }]) =>
      `| \`${name}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${meaning} | ${allowed} |`,
  );
  return ['| variable | default | meaning | allowed |', '|---|---|---|---|', ...rows].join('\n');
}

if (require.main === module) {
  const readme = join(projectRoot(), 'README.md');
  writeFileSync(join(projectRoot(), '.env.example'), envExample());
  writeFileSync(readme, withTable(readFileSync(readme, 'utf8')));
}
