/**
 * The HTTP side by which people and tests add users and groups:
 *
 *   GET    /health
 *   PUT    /users/{id}                    {display_name?, avatar_url?}
 *   DELETE /users/{id}
 *   GET    /groups                        sizes by id
 *   GET    /groups/{id}?cursor=&limit=    name, size and a page of members
 *   PUT    /groups/{id}                   {display_name?, members?: [...]}
 *   DELETE /groups/{id}
 *   PUT    /groups/{id}/members           [...] | {members: [...]} | {count, prefix?}   (replaces all)
 *   PUT    /groups/{id}/members/{user}
 *   DELETE /groups/{id}/members/{user}
 */
import Router from '@koa/router';
import Koa, { type Context } from 'koa';
import { z } from 'zod';
import { isId } from '../common/ids';
import { readJson } from './body';
import { HttpFailure } from './http-failure';
import type { GroupAdmin } from './group-admin';

const id = z.string().refine(isId, 'not a usable id');
const userBody = z.strictObject({
  display_name: z.string().max(256).optional(),
  avatar_url: z.string().max(1024).optional(),
});
const groupBody = z.strictObject({
  display_name: z.string().max(256).optional(),
  members: z.array(id).optional(),
});
const membersBody = z.union([
  z.array(id),
  z.strictObject({ members: z.array(id) }),
  z.strictObject({ count: z.int().min(0).max(200_000), prefix: id.default('u') }),
]);
const pageQuery = z.object({
  cursor: z.string().default(''),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** The Koa application over the directory's administration. */
export function adminApp(admin: GroupAdmin): Koa {
  const router = new Router();
  router.get('/health', (ctx) => {
    ctx.body = { status: 'healthy' };
  });

  router.put('/users/:user', async (ctx) => {
    const userId = pathId(ctx, 'user');
    const body = userBody.parse((await readJson(ctx)) ?? {});
    admin.directory.addUser(userId, body.display_name ?? userId, body.avatar_url ?? '');
    ctx.body = { user_id: userId };
  });
  router.delete('/users/:user', (ctx) => {
    if (!admin.directory.removeUser(pathId(ctx, 'user')))
      throw new HttpFailure(404, 'no such user');
    ctx.status = 204;
  });

  router.get('/groups', (ctx) => {
    ctx.body = { groups: admin.directory.groupSizes() };
  });
  router.get('/groups/:group', (ctx) => {
    const { cursor, limit } = pageQuery.parse(ctx.query);
    ctx.body = admin.describe(pathId(ctx, 'group'), cursor, limit);
  });
  router.put('/groups/:group', async (ctx) => {
    const groupId = pathId(ctx, 'group');
    const body = groupBody.parse((await readJson(ctx)) ?? {});
    ctx.body = await admin.putGroup(groupId, body.display_name, body.members);
  });
  router.delete('/groups/:group', async (ctx) => {
    ctx.body = await admin.removeGroup(pathId(ctx, 'group'));
  });
  router.put('/groups/:group/members', async (ctx) => {
    const body = membersBody.parse(await readJson(ctx));
    ctx.body = await admin.setMembers(pathId(ctx, 'group'), memberList(body));
  });
  router.put('/groups/:group/members/:user', async (ctx) => {
    ctx.body = await admin.addMember(pathId(ctx, 'group'), pathId(ctx, 'user'));
  });
  router.delete('/groups/:group/members/:user', async (ctx) => {
    ctx.body = await admin.removeMember(pathId(ctx, 'group'), pathId(ctx, 'user'));
  });

  const app = new Koa();
  app.use(answerFailures).use(router.routes()).use(router.allowedMethods());
  return app;
}

/** `{count: 3, prefix: "u"}` stands for u1, u2, u3. */
function memberList(body: z.infer<typeof membersBody>): string[] {
  if (Array.isArray(body)) return body;
  if ('members' in body) return body.members;
  return Array.from({ length: body.count }, (_, index) => `${body.prefix}${index + 1}`);
}

function pathId(ctx: { params: Record<string, string> }, name: string): string {
  const value = ctx.params[name];
  if (!isId(value)) throw new HttpFailure(400, `${name} in the path is not a usable id`);
  return value;
}

async function answerFailures(ctx: Context, next: () => Promise<void>): Promise<void> {
  try {
    await next();
  } catch (error) {
    if (error instanceof HttpFailure) {
      ctx.status = error.status;
      ctx.body = { error: error.message };
    } else if (error instanceof z.ZodError) {
      ctx.status = 400;
      ctx.body = { error: z.prettifyError(error) };
    } else {
      throw error;
    }
  }
}
