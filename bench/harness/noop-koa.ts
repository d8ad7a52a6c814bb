/** The floor of REST: a Koa route that answers with the same bytes. Arguments: port, file with the body. */
import { readFileSync } from 'node:fs';
import Router from '@koa/router';
import Koa from 'koa';

const [port, file = ''] = process.argv.slice(2);
const body = readFileSync(file, 'utf8');
const router = new Router();
router.get('/api/v1/offline', (ctx) => {
  ctx.type = 'json';
  ctx.body = body;
});
new Koa()
  .use(router.routes())
  .listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'));
