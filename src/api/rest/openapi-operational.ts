/** The part of the OpenAPI document that no endpoint describes: what the platform and readers ask. */

const object = (properties: object): object => ({
  type: 'object',
  required: Object.keys(properties),
  additionalProperties: false,
  properties,
});
const answer = (type: string, schema: object): object => ({
  description: 'As described.',
  content: { [type]: { schema } },
});
const get = (operationId: string, summary: string, responses: object): object => ({
  get: { operationId, summary, security: [], responses },
});

const readiness = (status: string): object =>
  object({
    status: { const: status },
    dependencies: { type: 'object', additionalProperties: { enum: ['healthy', 'unhealthy'] } },
  });

export const OPERATIONAL_PATHS = {
  '/health': get('health', 'The process is alive', {
    200: answer(
      'application/json',
      object({ status: { const: 'healthy' }, timestamp: { type: 'string', format: 'date-time' } }),
    ),
  }),
  '/ready': get('ready', 'Every dependency answers', {
    200: answer('application/json', readiness('ready')),
    503: answer('application/json', readiness('not_ready')),
  }),
  '/metrics': get('metrics', 'Metrics for Prometheus', {
    200: answer('text/plain', { type: 'string' }),
  }),
  '/openapi.json': get('openapi', 'This document', {
    200: answer('application/json', { type: 'object' }),
  }),
  '/docs': get('docs', 'This document as a page', {
    200: answer('text/html', { type: 'string' }),
  }),
};
