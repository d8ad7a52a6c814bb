/** Kinds of settings: how a value is read, and how what is allowed is told. */
import { z } from 'zod';

export interface Setting<T> {
  readonly schema: z.ZodType<T>;
  /** As it would stand in the environment; `undefined`: there is none and it is optional. */
  readonly fallback: string | undefined;
  readonly meaning: string;
  /** What may stand there, in words. */
  readonly allowed: string;
  /** Never printed. */
  readonly secret?: boolean;
}

export function setting<T>(s: Setting<T>): Setting<T> {
  return s;
}

export function integer(
  fallback: number,
  min: number,
  max: number,
  meaning: string,
): Setting<number> {
  return {
    schema: z.coerce.number().int().min(min).max(max),
    fallback: String(fallback),
    meaning,
    allowed: `a whole number, ${min} to ${max}`,
  };
}

export function port(standard: number, meaning: string): Setting<number> {
  return integer(standard, 0, 65_535, meaning);
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  fallback: T[number],
  meaning: string,
): Setting<T[number]> {
  return { schema: z.enum(values), fallback, meaning, allowed: values.join(' or ') };
}

export function text(
  fallback: string | undefined,
  meaning: string,
  allowed: string,
): Setting<string> {
  return { schema: z.string().min(1), fallback, meaning, allowed };
}

export function optional(meaning: string, allowed: string): Setting<string | undefined> {
  return { schema: z.string().min(1).optional(), fallback: undefined, meaning, allowed };
}

export function url(
  protocols: readonly string[],
  fallback: string,
  meaning: string,
): Setting<string> {
  const matches = (value: string): boolean =>
    URL.canParse(value) && protocols.includes(new URL(value).protocol);
  return {
    schema: z.string().refine(matches),
    fallback,
    meaning,
    allowed: `a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    // The address may carry a password.
    secret: true,
  };
}

export function list(fallback: string, meaning: string, allowed: string): Setting<string[]> {
  const split = (value: string): string[] =>
    value
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean);
  return {
    schema: z.string().transform(split).pipe(z.array(z.string()).min(1)),
    fallback,
    meaning,
    allowed,
  };
}
