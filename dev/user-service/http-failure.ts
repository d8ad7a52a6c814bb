/** A failure that the caller of the admin HTTP is told with a status and a sentence. */
export class HttpFailure extends Error {
  constructor(
    readonly status: 400 | 404 | 413 | 503,
    message: string,
  ) {
    super(message);
  }
}
