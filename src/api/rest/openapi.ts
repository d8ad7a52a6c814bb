/** The OpenAPI 3.1 document, made from the same descriptions that the router is made from. */
import { z } from 'zod';
import type { Endpoint } from './endpoint';
import { OPENAPI_FORM } from './fields';
import { OPERATIONAL_PATHS } from './openapi-operational';
import { PROBLEMS } from './problem';
import type { ProblemCode } from './problem';

type Json = Record<string, unknown>;

/** What any endpoint may answer, whatever it does. */
const COMMON_PROBLEMS: readonly ProblemCode[] = [
  'INVALID_REQUEST',
  'UNAUTHENTICATED',
  // Of a user who was erased.
  'FORBIDDEN',
  'RATE_LIMITED',
  'HEADERS_TOO_LARGE',
  'SERVICE_UNAVAILABLE',
  'INTERNAL_ERROR',
];
const BODY_PROBLEMS: readonly ProblemCode[] = [
  'REQUEST_TIMEOUT',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
];

/** The document for these endpoints and what the platform asks. */
export function openApiDocument(endpoints: readonly Endpoint[]): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = (paths[endpoint.path] ??= {});
    path[endpoint.method.toLowerCase()] = operationOf(endpoint);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'IM Service',
      version: '1',
      description: 'Offline messages, read receipts and history for clients of the IM Service.',
    },
    paths: { ...paths, ...OPERATIONAL_PATHS },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Problem: PROBLEM_SCHEMA },
    },
  };
}

const PROBLEM_SCHEMA: Json = {
  type: 'object',
  description: 'RFC 9457 problem details.',
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id'],
  additionalProperties: false,
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', enum: Object.keys(PROBLEMS) },
    request_id: { type: 'string' },
  },
};

function operationOf(endpoint: Endpoint): Json {
  const { operationId, summary, description, body } = endpoint;
  return {
    operationId,
    summary,
    description,
    security: [{ bearer: [] }],
    parameters: [
      ...parametersOf(endpoint.params, 'path'),
      ...parametersOf(endpoint.query, 'query'),
    ],
    ...(body && { requestBody: { required: true, content: content(schemaOf(body, 'input')) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(endpoint.answers).map(([status, schema]) => [
          status,
          {
            description: 'Success.',
            content: {
              ...content(schemaOf(schema, 'output')),
              ...(status === '200' && textContent(endpoint.alsoAs ?? [])),
            },
          },
        ]),
      ),
      ...problemResponses([
        ...COMMON_PROBLEMS,
        ...(body ? BODY_PROBLEMS : []),
        ...endpoint.problems,
      ]),
    },
  };
}

function parametersOf(schema: z.ZodType | undefined, where: 'path' | 'query'): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, form]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    description: form['description'],
    schema: form,
  }));
}

function problemResponses(codes: readonly ProblemCode[]): Json {
  const byStatus = new Map<number, Set<ProblemCode>>();
  for (const code of codes) {
    const [status] = PROBLEMS[code];
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: [...of].join(', '),
        content: { 'application/problem+json': { schema: PROBLEM_REFERENCE } },
      },
    ]),
  );
}

const PROBLEM_REFERENCE = { $ref: '#/components/schemas/Problem' };

function content(schema: Json): Json {
  return { 'application/json': { schema } };
}

function textContent(types: readonly string[]): Json {
  return Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }]));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const form = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      const own = jsonSchema[OPENAPI_FORM];
      if (own === undefined) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Object.assign(jsonSchema, own);
    },
  }) as Json;
  // OpenAPI 3.1 has the same dialect as its default.
  delete form['$schema'];
  return form;
}
