/** `/openapi.json`, and `/docs`: the same as a page without scripts, fonts or anything from outside. */
import { createHash } from 'node:crypto';
import Router from '@koa/router';
import type { Endpoint } from './endpoint';
import { openApiDocument } from './openapi';

interface Operation {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: object }[];
  readonly requestBody?: { readonly content: Record<string, { schema: object }> };
  readonly responses: Record<
    string,
    { description: string; content?: Record<string, { schema: object }> }
  >;
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.5rem;overflow:auto}
h2{border-top:1px solid #ccc;padding-top:1rem}h2 b{color:#05a}td,th{text-align:left;padding-right:1rem}`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

export function docsRoutes(endpoints: readonly Endpoint[]): Router {
  const document = openApiDocument(endpoints);
  const page = render(document['paths'] as Record<string, Record<string, Operation>>);
  return new Router()
    .get('/openapi.json', (ctx) => {
      ctx.set('Cross-Origin-Resource-Policy', 'cross-origin');
      ctx.body = document;
    })
    .get('/docs', (ctx) => {
      ctx.set(
        'Content-Security-Policy',
        `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; frame-ancestors 'none'`,
      );
      ctx.type = 'html';
      ctx.body = page;
    });
}

function render(paths: Record<string, Record<string, Operation>>): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(method, path, operation)),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>IM Service API</title>
<style>${STYLE}</style></head><body><h1>IM Service API</h1>
<p>Made from <a href="/openapi.json">openapi.json</a>. Bearer tokens: <code>Authorization: Bearer …</code>.</p>
${operations.join('\n')}</body></html>`;
}

function section(method: string, path: string, operation: Operation): string {
  const { summary, description = '', parameters = [], requestBody, responses } = operation;
  const rows = parameters.map(
    (p) =>
      `<tr><td><code>${escape(p.name)}</code></td><td>${escape(p.in)}</td>` +
      `<td>${p.required ? 'required' : ''}</td><td><code>${json(p.schema)}</code></td></tr>`,
  );
  const answers = Object.entries(responses).map(
    ([status, response]) =>
      `<details><summary><b>${escape(status)}</b> ${escape(response.description)}</summary>` +
      `<pre>${json(response.content ?? {}, 2)}</pre></details>`,
  );
  return `<h2><b>${escape(method.toUpperCase())}</b> <code>${escape(path)}</code></h2>
<p>${escape(summary)}. ${escape(description)}</p><table>${rows.join('')}</table>
${requestBody ? `<h3>Body</h3><pre>${json(requestBody.content, 2)}</pre>` : ''}${answers.join('')}`;
}

function json(value: object, indent?: number): string {
  return escape(JSON.stringify(value, undefined, indent));
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
