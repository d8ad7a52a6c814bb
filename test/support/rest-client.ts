/** A REST client that holds every answer against the server's own OpenAPI document. */
import Ajv2020 from 'ajv/dist/2020';
import type { ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { DEVELOPMENT_JWT_SECRET } from '../../src/config-schema';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Of JSON; empty otherwise. */
  readonly body: Body;
  readonly text: string;
}

/** The fields that answers have; which of them, the document says. */
export interface Body {
  readonly code: string;
  readonly messages: readonly {
    readonly msg_id: string;
    readonly recipient_id: string;
    readonly content: string;
    readonly sequence_number: number;
  }[];
  readonly next_cursor: string;
  readonly next_after_sequence: number;
  readonly has_more: boolean;
  readonly total_count: number;
  readonly count: number;
  readonly oldest_timestamp: number;
  readonly newest_timestamp: number;
  readonly receipts: readonly {
    readonly reader_id: string;
    readonly read_at: number;
    readonly devices: readonly string[];
  }[];
  readonly summary: { readonly reader_count: number; readonly first_readers: readonly string[] };
}

type Schema = Record<string, unknown>;
interface Document {
  readonly paths: Record<string, Record<string, { responses: Record<string, ResponseForm> }>>;
  readonly components: Schema;
}
interface ResponseForm {
  readonly content?: Record<string, { schema: Schema }>;
}

/** A token as an issuer with our development secret makes it. */
export async function tokenFor(
  user: string,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const { SignJWT } = await import('jose');
  return new SignJWT({ sub: user, exp: Math.floor(Date.now() / 1000) + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(DEVELOPMENT_JWT_SECRET));
}

export class RestClient {
  private readonly ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
  private readonly validators = new Map<string, ValidateFunction>();
  private document: Document | undefined;

  constructor(private readonly base: string) {}

  async get(user: string | undefined, path: string): Promise<Answer> {
    return this.send('GET', path, await headersOf(user));
  }

  async post(user: string | undefined, path: string, body: unknown): Promise<Answer> {
    const headers = { ...(await headersOf(user)), 'content-type': 'application/json' };
    return this.send('POST', path, headers, JSON.stringify(body));
  }

  /** Any request; throws when the answer is not as the document says. */
  async send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Uint8Array<ArrayBuffer>,
  ): Promise<Answer> {
    const response = await fetch(`${this.base}${path}`, { method, headers, body });
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body: (isJson(type) && text !== '' ? JSON.parse(text) : {}) as Body,
      text,
    };
    await this.validate(method, path, type.split(';')[0] ?? '', answer);
    return answer;
  }

  async openApi(): Promise<Document> {
    this.document ??= (await (await fetch(`${this.base}/openapi.json`)).json()) as Document;
    return this.document;
  }

  private async validate(
    method: string,
    path: string,
    type: string,
    answer: Answer,
  ): Promise<void> {
    const { pathname } = new URL(`${this.base}${path}`);
    const document = await this.openApi();
    const operation = operationFor(document, method, pathname);
    if (method === 'HEAD' || method === 'OPTIONS') return;
    if (!operation) {
      // Only what there is not may be missing there.
      if (answer.status === 404 || answer.status === 405) return;
      throw new Error(`${method} ${pathname} is not in the OpenAPI document`);
    }
    const form = operation.responses[answer.status];
    const where = `${method} ${pathname} ${answer.status}`;
    if (!form) throw new Error(`${where} is not in the OpenAPI document`);
    const schema = form.content?.[type]?.schema;
    if (!schema) throw new Error(`${where} ${type} is not in the OpenAPI document`);
    const validate = this.validator(`${where} ${type}`, schema, document);
    if (validate(isJson(type) ? answer.body : answer.text)) return;
    throw new Error(`${where}: ${this.ajv.errorsText(validate.errors)}`);
  }

  private validator(name: string, schema: Schema, document: Document): ValidateFunction {
    let validate = this.validators.get(name);
    if (!validate) {
      validate = this.ajv.compile({ ...schema, components: document.components });
      this.validators.set(name, validate);
    }
    return validate;
  }
}

/** Not of NDJSON, which is a text of several. */
function isJson(type: string): boolean {
  return /[/+]json/.test(type);
}

function operationFor(
  document: Document,
  method: string,
  pathname: string,
): { responses: Record<string, ResponseForm> } | undefined {
  for (const [pattern, operations] of Object.entries(document.paths)) {
    const matcher = new RegExp(`^${pattern.replace(/\{\w+\}/g, '[^/]+')}$`);
    if (matcher.test(pathname)) return operations[method.toLowerCase()];
  }
  return undefined;
}

async function headersOf(user: string | undefined): Promise<Record<string, string>> {
  return user === undefined ? {} : { authorization: `Bearer ${await tokenFor(user)}` };
}
