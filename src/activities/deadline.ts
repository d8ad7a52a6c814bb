/** A deadline for a promise that has none of its own. */

/** The deadline passed. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** `work`'s outcome, or a {@link DeadlineError} after `ms`; `what` is named in it. The work goes on. */
export async function withDeadline<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
