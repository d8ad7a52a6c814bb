/** That the product's image has the files that its code reads; Docker itself is not asked. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../src/paths';

test('what is not compiled of the sources is copied as it is', () => {
  const [, product = ''] = readFileSync(join(projectRoot(), 'Dockerfile'), 'utf8').split(
    / AS product$/m,
  );
  const copied = [...product.matchAll(/^COPY (\S+) \.\/\1$/gm)].map(([, folder = '']) => folder);
  const read = readdirSync(join(projectRoot(), 'src'), { recursive: true, encoding: 'utf8' })
    .map((name) => join('src', name))
    .filter((name) => !name.endsWith('.ts') && statSync(join(projectRoot(), name)).isFile());
  expect(read).toContain('src/activities/redis/lua/reserve.lua');
  const missing = read.filter((file) => !copied.some((folder) => file.startsWith(`${folder}/`)));
  expect(missing).toEqual([]);
});
