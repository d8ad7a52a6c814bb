/** A failure a person can act on: shown as its message alone, without a stack trace. */
export class StackError extends Error {
  override readonly name = 'StackError';
}

/** What to print for any thrown value. */
export function explain(error: unknown): string {
  if (error instanceof StackError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
