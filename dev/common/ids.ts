/** Ids that may become part of a registry key or a URL path. */

/** Not empty, at most 128 characters, no `/`, no white space, no control characters. */
export function isId(value: unknown): value is string {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what must stay out
  return typeof value === 'string' && /^[^\s/\u0000-\u001f\u007f]{1,128}$/u.test(value);
}
