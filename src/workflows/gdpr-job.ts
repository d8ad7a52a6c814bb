/**
 * What the workflows about personal data have in common: steps named after the systems they clean,
 * that wait as long as it takes while a server is away and say which; the `status` query, details and
 * search attributes by which people follow them; an end that is written down, also when canceled.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  continueAsNew,
  defineQuery,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { LEGAL_HOLD, STEP_FAILS, SYSTEM_AWAY } from '../domain/gdpr';
import type {
  GdprCounts,
  GdprEnd,
  GdprEnding,
  GdprExpiry,
  GdprInput,
  GdprJobActivities,
  GdprKind,
  GdprProof,
  GdprState,
  GdprStatus,
  GdprStep,
  GdprSystem,
} from '../domain/gdpr';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';

export const gdprStatusQuery = defineQuery<GdprStatus>('status');

/**
 * For the activities of steps. Few attempts: what lasts longer is waited for by the workflow itself,
 * where people see it.
 */
export const STEP_OPTIONS = {
  startToCloseTimeout: '5 minutes',
  // How soon another worker takes over from one that was killed.
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '200 milliseconds', maximumAttempts: 3 },
} as const;

const { finishGdprJob } = proxyActivities<GdprJobActivities>(STEP_OPTIONS);
const { recordGdprJob } = proxyActivities<GdprJobActivities>({
  ...STEP_OPTIONS,
  // Only to be looked at meanwhile: the work does not wait for it.
  scheduleToCloseTimeout: '5 seconds',
});

/** A job is written down no more often than this, ms; quick ones only in the end. */
const RECORD_EVERY_MS = 2_000;
/** First and longest pause while a server is away, ms. */
const PAUSE_FIRST_MS = 1_000;
const PAUSE_LONGEST_MS = 30_000;

/** What keeps a step from its end, as far as that is known. */
type Obstacle = Pick<GdprStep, 'waitingFor' | 'problem'>;
/** What the failures of {@link SYSTEM_AWAY} and {@link STEP_FAILS} tell. */
interface FailureDetail {
  readonly system?: GdprSystem;
  readonly problem?: string;
}

/**
 * Runs one job. `work` does its steps and resolves with what expires by itself. A legal hold ends the
 * job as `blocked`; any other failure that retrying cannot mend fails the workflow.
 */
export async function runGdprJob(
  kind: GdprKind,
  input: GdprInput,
  work: (job: GdprJob) => Promise<readonly GdprExpiry[]>,
): Promise<GdprProof> {
  const job = new GdprJob(kind, input);
  job.label();
  try {
    if (input.ending) throw failureFor(input.ending);
    await job.record();
    return await job.finish('done', await work(job));
  } catch (error) {
    if (isCancellation(error)) {
      await CancellationScope.nonCancellable(() => job.finish('canceled', []));
      throw error;
    }
    const type = failureOf(error)?.type ?? 'Error';
    if (type === LEGAL_HOLD) return job.finish('blocked', []);
    // Continuing as new is no failure, though it is thrown.
    if (!(error instanceof ActivityFailure || error instanceof ApplicationFailure)) throw error;
    await job.finish('failed', [], type);
    throw error;
  }
}

export class GdprJob {
  private readonly steps: GdprStep[];
  private state: GdprState = 'running';
  private recordedAt = 0;
  private remark = '';
  private ending: GdprEnding | undefined;
  /** While the end cannot be written down. */
  private endWaits: Obstacle = {};

  constructor(
    private readonly kind: GdprKind,
    private readonly input: GdprInput,
  ) {
    this.steps = [...(input.soFar ?? [])];
    setHandler(gdprStatusQuery, () => this.status(), {
      description: 'How far the job is, step by step, and what it waits for.',
    });
  }

  /**
   * Does one step, or takes its outcome from the run before. `call` is idempotent; it is made again
   * until it succeeds, or fails in a way that retrying cannot mend. A long one tells how far it is.
   */
  async step(
    name: string,
    call: (progress: (counts: GdprCounts) => Promise<void>) => Promise<GdprCounts>,
  ): Promise<GdprCounts> {
    const before = this.steps.find((step) => step.name === name);
    if (before?.state === 'done') return before.counts;
    const startedAt = before?.startedAt ?? Date.now();
    let counts: GdprCounts = {};
    const progress = async (soFar: GdprCounts): Promise<void> => {
      counts = soFar;
      this.put({ name, state: 'running', startedAt, counts });
      await this.recordNowAndThen();
    };
    this.put({ name, state: 'running', startedAt, counts });
    counts = await this.patiently(
      () => call(progress),
      (obstacle) => this.put({ name, state: 'waiting', ...obstacle, startedAt, counts }),
    );
    this.put({ name, state: 'done', startedAt, finishedAt: Date.now(), counts });
    await this.recordNowAndThen();
    return counts;
  }

  /** A sentence for people, above the steps. */
  note(remark: string): void {
    this.remark = remark;
    this.describe(this.state);
  }

  private async recordNowAndThen(): Promise<void> {
    if (Date.now() - this.recordedAt >= RECORD_EVERY_MS) await this.record();
  }

  /** Writes down how far the job is; when that cannot be done now, later will do. */
  async record(): Promise<void> {
    this.recordedAt = Date.now();
    const { jobId } = this.input;
    try {
      await recordGdprJob({ jobId, state: this.state, steps: this.steps });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the progress of the job was not written down');
    }
  }

  async finish(
    state: GdprEnd,
    expires: readonly GdprExpiry[],
    reason?: string,
  ): Promise<GdprProof> {
    const proof: GdprProof = { jobId: this.input.jobId, state, steps: [...this.steps], expires };
    if (state !== 'done') this.ending = { state, reason };
    await this.patiently(
      () => finishGdprJob({ ...proof, reason }),
      (obstacle) => {
        this.endWaits = obstacle;
        setCurrentDetails(
          `Ends as ${state}, once that is written down: ${toText(obstacle, 'mysql')}`,
        );
      },
    );
    this.endWaits = {};
    this.state = state;
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.outcome, value: state }]);
    this.describe(reason ?? state);
    return proof;
  }

  /** Who started us by hand has not labeled us. */
  label(): void {
    const { jobId, requestedBy, userId, messageId } = this.input;
    if (typeof jobId !== 'string' || jobId === '') {
      throw ApplicationFailure.nonRetryable('jobId is missing', 'InvalidInput');
    }
    const labels = [
      { key: SEARCH_ATTRIBUTES.request, value: this.kind },
      { key: SEARCH_ATTRIBUTES.requestedBy, value: requestedBy },
      { key: SEARCH_ATTRIBUTES.userId, value: userId },
      { key: SEARCH_ATTRIBUTES.messageId, value: messageId },
      { key: SEARCH_ATTRIBUTES.outcome, value: 'running' },
    ];
    const { typedSearchAttributes: given } = workflowInfo();
    const missing = labels.flatMap(({ key, value }) =>
      value === undefined || given.get(key) === value ? [] : [{ key, value }],
    );
    if (missing.length > 0) upsertSearchAttributes(missing);
  }

  /** Calls until it succeeds; between two calls `waiting` hears what stands in the way. */
  private async patiently<T>(
    call: () => Promise<T>,
    waiting: (obstacle: Obstacle) => void,
  ): Promise<T> {
    for (let pause = PAUSE_FIRST_MS; ; pause = Math.min(pause * 2, PAUSE_LONGEST_MS)) {
      try {
        return await call();
      } catch (error) {
        const failure = failureOf(error);
        if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
        if (failure?.nonRetryable) throw error;
        waiting(obstacleIn(failure));
      }
      await this.record();
      await sleep(pause);
      if (workflowInfo().continueAsNewSuggested) {
        await continueAsNew({ ...this.input, soFar: this.steps, ending: this.ending });
      }
    }
  }

  private put(step: GdprStep): void {
    const at = this.steps.findIndex(({ name }) => name === step.name);
    if (at < 0) this.steps.push(step);
    else this.steps[at] = step;
    this.describe(this.state);
  }

  /** For the UI: a line for each step. */
  private describe(state: string): void {
    const lines = this.steps.map((step) => {
      const { name, state: at, counts } = step;
      const found = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
      const soFar = found.length > 0 ? ` (${found.join(', ')})` : '';
      if (at === 'waiting') return `- ${name}: ${toText(step, name)}${soFar}`;
      return `- ${name}: ${at === 'running' ? 'under way' : 'done'}${soFar}`;
    });
    const head = this.remark === '' ? [] : [this.remark, ''];
    setCurrentDetails([`**${state}**`, '', ...head, ...lines].join('\n'));
  }

  private status(): GdprStatus {
    const { jobId } = this.input;
    const steps = [...this.steps];
    const { waitingFor, problem } = steps.find((step) => step.state === 'waiting') ?? this.endWaits;
    return {
      jobId,
      kind: this.kind,
      state: this.state,
      steps,
      ...(waitingFor && { waitingFor }),
      ...(problem !== undefined && { problem }),
    };
  }
}

/** What ended a job in the runs before. */
function failureFor({ state, reason }: GdprEnding): Error {
  if (state === 'canceled') return new CancelledFailure('canceled in a run before');
  const type = state === 'blocked' ? LEGAL_HOLD : reason;
  return ApplicationFailure.nonRetryable('failed in a run before', type);
}

/** What an activity failed with, without what Temporal puts around it. */
export function failureOf(error: unknown): ApplicationFailure | undefined {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure ? cause : undefined;
}

function obstacleIn(failure: ApplicationFailure | undefined): Obstacle {
  const { type } = failure ?? {};
  if (type !== SYSTEM_AWAY && type !== STEP_FAILS) return {};
  const { system, problem } = (failure?.details?.[0] ?? {}) as FailureDetail;
  return type === SYSTEM_AWAY ? { waitingFor: system } : { problem };
}

/** For people; `otherwise`: what is waited for when that is not known. */
function toText({ waitingFor, problem }: Obstacle, otherwise: string): string {
  if (problem === undefined) return `waits for ${waitingFor ?? otherwise}`;
  return `fails with ${problem}, is tried again`;
}
