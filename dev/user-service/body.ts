/** Reads a JSON request body, up to a limit. */
import type { Context } from 'koa';
import { HttpFailure } from './http-failure';

/** A list of 200,000 ids of some 20 characters. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** The parsed body, or undefined when there is none. */
export async function readJson(ctx: Context): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of ctx.req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new HttpFailure(413, `more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new HttpFailure(400, `the body is not JSON: ${String(error)}`);
  }
}
