/**
 * When a job that destroys can be canceled: at its beginning alone. What is half destroyed helps nobody
 * and is not brought back, so from then on it goes to its end, whoever wants to cancel it.
 */
import { CancellationScope } from '@temporalio/workflow';
import type { GdprJob } from './gdpr-job';

export const TOO_LATE =
  'A cancellation came too late: what is destroyed is not brought back, so it goes on.';

export class CancelWindow {
  private constructor(private readonly cancelRequested: Promise<never>) {}

  /** Runs a whole job, to which a cancellation does nothing by itself. */
  static async around<T>(job: (window: CancelWindow) => Promise<T>): Promise<T> {
    const window = new CancelWindow(CancellationScope.current().cancelRequested);
    return CancellationScope.nonCancellable(() => job(window));
  }

  /** Does what can be canceled; after it nothing is, and the job's details say so to who tries. */
  async first<T>(job: GdprJob, work: () => Promise<T>): Promise<T> {
    const scope = new CancellationScope();
    this.cancelRequested.catch(() => scope.cancel());
    const result = await scope.run(work);
    this.cancelRequested.catch(() => job.note(TOO_LATE));
    return result;
  }
}
