/** The kinds of fields that requests and answers are made of. */
import { z } from 'zod';
import { idProblem, MAX_MESSAGE_ID_BYTES, MAX_USER_ID_BYTES } from '../../domain/ids';

/** Key in a schema's metadata under which its form in OpenAPI stands when it is not zod's own. */
export const OPENAPI_FORM = 'openapi';

function id(maxBytes: number, description: string): z.ZodType<string> {
  return z
    .string()
    .superRefine((value, context) => {
      const problem = idProblem(value, maxBytes);
      if (problem) context.addIssue({ code: 'custom', message: problem });
    })
    .meta({ [OPENAPI_FORM]: { type: 'string', minLength: 1, maxLength: maxBytes, description } });
}

export const userId = id(MAX_USER_ID_BYTES, 'Id of a user.');
export const messageId = id(MAX_MESSAGE_ID_BYTES, 'Id of a message.');
export const deviceId = id(MAX_USER_ID_BYTES, 'Id of a device.');
/** Longer than one id: `lower_higher`. */
export const conversationId = id(
  2 * MAX_USER_ID_BYTES + 1,
  'Id of a conversation: of a group, or the two sorted user ids joined by "_".',
);
export const conversationType = z.enum(['private', 'group']);

/** Unix time in ms, in an answer. */
export const time = z.int().min(0).describe('Unix time, ms.');
export const count = z.int().min(0);

/** Messages of a page (spec: "default: 50, max: 100"). */
export const pageLimit = queryNumber(1, 100, 50, 'Entries of a page.');

/** A whole number in a query string; out of range is refused, not changed silently. */
export function queryNumber(
  min: number,
  max: number,
  fallback: number,
  description: string,
): z.ZodType<number, string | undefined> {
  return z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`)
    .optional()
    .transform((value) => value ?? fallback)
    .meta({
      [OPENAPI_FORM]: {
        type: 'integer',
        minimum: min,
        maximum: max,
        default: fallback,
        description,
      },
    });
}
