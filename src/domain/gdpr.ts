/**
 * What requests about personal data, their workflows and those who follow them agree on. Ids and
 * counts only, never content.
 */

export const GDPR_KINDS = ['delete', 'export', 'erase'] as const;
export type GdprKind = (typeof GDPR_KINDS)[number];

export const GDPR_STATES = [
  'requested',
  'running',
  'done',
  'failed',
  'canceled',
  'blocked',
] as const;
export type GdprState = (typeof GDPR_STATES)[number];
/** How a job can end; `blocked`: by a legal hold. */
export type GdprEnd = Exclude<GdprState, 'requested' | 'running'>;

/** What a step can wait for. */
export const GDPR_SYSTEMS = ['mysql', 'redis', 'kafka', 'etcd', 'user_service'] as const;
export type GdprSystem = (typeof GDPR_SYSTEMS)[number];

/** What a step found and did, by name: `{ inbox_rows: 3 }`. */
export type GdprCounts = Readonly<Record<string, number>>;

export interface GdprStep {
  /** After the system it cleans. */
  readonly name: string;
  readonly state: 'running' | 'waiting' | 'done';
  /** What is away, while it waits. */
  readonly waitingFor?: GdprSystem;
  /** What it fails with each time, when nothing is away: the name of an error. */
  readonly problem?: string;
  /** Unix ms. */
  readonly startedAt: number;
  readonly finishedAt?: number;
  readonly counts: GdprCounts;
}

/** What is not removed but goes by itself. */
export interface GdprExpiry {
  readonly what: string;
  /** When the last of it is gone, unix ms. */
  readonly at: number;
}

/** The result of each of the workflows: what was found and removed where. */
export interface GdprProof {
  readonly jobId: string;
  readonly state: GdprEnd;
  readonly steps: readonly GdprStep[];
  readonly expires: readonly GdprExpiry[];
}

/** What each of the workflows is started with, and more. */
export interface GdprInput {
  readonly jobId: string;
  readonly requestedBy: string;
  /** Whose data it is about. */
  readonly userId?: string;
  /** The one message it is about. */
  readonly messageId?: string;
  /** Steps of the runs before, when the workflow continues as new. */
  readonly soFar?: readonly GdprStep[];
  /** How the job ends, when the runs before could not write that down. */
  readonly ending?: GdprEnding;
}

/** An end before the work was done; it is never worked on again. */
export interface GdprEnding {
  readonly state: Exclude<GdprEnd, 'done'>;
  /** The type of the failure, if it failed. */
  readonly reason?: string;
}

/** What the `status` query answers. */
export interface GdprStatus {
  readonly jobId: string;
  readonly kind: GdprKind;
  readonly state: GdprState;
  readonly steps: readonly GdprStep[];
  readonly waitingFor?: GdprSystem;
  /** See {@link GdprStep.problem}. */
  readonly problem?: string;
}

/** Type of the failure that says that a server is away; its detail is the server's name. */
export const SYSTEM_AWAY = 'SystemAway';
/**
 * Type of the failure that says that a step fails though its server is there; its detail is what with.
 * Waiting alone does not mend it, but what was repaired is only found out by trying.
 */
export const STEP_FAILS = 'StepFails';
/** What a step's work rejects with when it is another server than the step's own that is away. */
export class SystemAwayError extends Error {
  override readonly name = 'SystemAwayError';
  constructor(
    readonly system: GdprSystem,
    options: { cause: unknown },
  ) {
    super(`${system} is away`, options);
  }
}

/** `work`'s outcome; what goes wrong is told as `system` being away. */
export async function ofSystem<T>(system: GdprSystem, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new SystemAwayError(system, { cause });
  }
}

/** Type of the failure by which a legal hold ends a job as `blocked`. */
export const LEGAL_HOLD = 'LegalHold';

/** Type of the failure that says that a job cannot end as canceled, for it has begun to destroy. */
export const BEGUN = 'Begun';

export interface GdprRecord {
  readonly jobId: string;
  readonly state: GdprState;
  readonly steps: readonly GdprStep[];
}

/**
 * The actor of what the service writes into the audit log by itself: how a job ended. It is also a valid
 * user id, so the entry's key tells the two apart; no key of an entry that a person caused ends like it.
 */
const SERVICE = 'system';
const END_OF_JOB = '/end';

/** What names the entry about the end of a job. */
export function endOfJob(jobId: string): { readonly actor: string; readonly entryKey: string } {
  return { actor: SERVICE, entryKey: `${jobId}${END_OF_JOB}` };
}

/** Whether the service wrote an entry of the audit log by itself, and no user of that name caused it. */
export function isByService(entry: { readonly actor: string; readonly entryKey: string }): boolean {
  return entry.actor === SERVICE && entry.entryKey.endsWith(END_OF_JOB);
}

/** The activities that each of the workflows calls. */
export interface GdprJobActivities {
  /** Writes down how far the job is. */
  recordGdprJob(record: GdprRecord): Promise<void>;
  /**
   * Ends the job and says so in the audit log. `reason`: the type of the failure, if it failed. Fails with
   * the type `Begun` when it is to end as canceled and has listed a message as erased.
   */
  finishGdprJob(proof: GdprProof & { readonly reason?: string }): Promise<void>;
  /** Starts the workflows of jobs that have none, a page of them. */
  sweepGdprJobs(input: { after: string }): Promise<GdprSweepPage>;
}

export interface GdprSweepPage {
  readonly started: number;
  /** Where the next page begins; `undefined` after the last one. */
  readonly next?: string;
}

/** The workflow of each kind of job. */
export const GDPR_WORKFLOWS: Readonly<Record<GdprKind, string>> = {
  delete: 'gdprDeleteMessage',
  export: 'gdprExport',
  erase: 'gdprEraseUser',
};
