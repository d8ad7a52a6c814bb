/**
 * One description for each endpoint: the router, the validation, the OpenAPI document and the table of
 * tests are made from it, so that none of them can be forgotten.
 */
import { z } from 'zod';
import type { Caller } from './token-verifier';
import { Problem } from './problem';
import type { ProblemCode } from './problem';

export type Method = 'GET' | 'POST' | 'DELETE';

export interface Call<Params, Query, Body> {
  readonly caller: Caller;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly accepts: Accepts;
}

/** Which of these media types the caller likes best; `false`: none of them. */
export type Accepts = (...types: string[]) => string | false;

export interface Reply {
  readonly status: number;
  /** A stream is sent as it comes; its media type is among the headers. */
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a request brings, before it is looked at. */
export interface RawCall {
  readonly caller: Caller;
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly accepts: Accepts;
}

/** An endpoint whose types are folded away. */
export interface Endpoint {
  readonly method: Method;
  /** As OpenAPI writes it: `/api/v1/things/{id}`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly params: z.ZodType | undefined;
  readonly query: z.ZodType | undefined;
  readonly body: z.ZodType | undefined;
  /** Form of each successful answer, by status. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Media types of a 200 beside JSON. */
  readonly alsoAs?: readonly string[];
  /** Codes of its own, beyond those any endpoint may answer. */
  readonly problems: readonly ProblemCode[];
  /** Throws a {@link Problem} or an `ImError`. */
  readonly handle: (call: RawCall) => Promise<Reply>;
}

const nothing = z.unknown();

interface Definition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> extends Omit<
  Endpoint,
  'params' | 'query' | 'body' | 'problems' | 'handle'
> {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly problems?: readonly ProblemCode[];
  handle: (call: Call<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Reply>;
}

/** Describes an endpoint; its handler gets only what its schemas let through. */
export function endpoint<
  P extends z.ZodType = typeof nothing,
  Q extends z.ZodType = typeof nothing,
  B extends z.ZodType = typeof nothing,
>(definition: Definition<P, Q, B>): Endpoint {
  const { params, query, body, handle } = definition;
  return {
    ...definition,
    params,
    query,
    body,
    problems: definition.problems ?? [],
    handle: async (raw) =>
      handle({
        caller: raw.caller,
        accepts: raw.accepts,
        params: checked(params ?? nothing, raw.params, 'path') as z.output<P>,
        query: checked(query ?? nothing, raw.query, 'query') as z.output<Q>,
        body: checked(body ?? nothing, raw.body, 'body') as z.output<B>,
      }),
  };
}

/** A 200. */
export function ok(body: object): Reply {
  return { status: 200, body };
}

/** Says where and what kind of thing is wrong, never the value that was sent. */
function checked(schema: z.ZodType, value: unknown, where: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue && issue.path.length > 0 ? `${where}.${issue.path.join('.')}` : where;
  throw new Problem('INVALID_REQUEST', `${at}: ${issue ? whatIsWrong(issue) : 'is not allowed'}`);
}

/** zod's own messages may quote the value. */
function whatIsWrong(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'custom':
    case 'invalid_format':
      return issue.message;
    case 'invalid_type':
      return `must be given once, as ${NAMES[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return `must be at least ${issue.minimum}`;
    case 'too_big':
      return `must be at most ${issue.maximum}`;
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`;
    case 'invalid_element':
    case 'invalid_key':
    case 'invalid_union':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return 'is not allowed';
  }
}

const NAMES: Readonly<Record<string, string>> = {
  string: 'a string',
  int: 'a whole number',
  number: 'a number',
  object: 'an object',
};
