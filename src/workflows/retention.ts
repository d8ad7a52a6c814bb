/**
 * Removes what is past its time: class by class, a page at a time. A class that cannot be purged now
 * does not keep the others; the run then fails with `ClassesLeft`, and the next one goes on.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  continueAsNew,
  defineQuery,
  isCancellation,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { INVALID_INPUT } from '../domain/delivery';
import { CLASSES_LEFT, RETENTION_CLASSES } from '../domain/retention';
import type {
  AgePlace,
  PurgeInput,
  PurgePage,
  RetentionActivities,
  RetentionClass,
  RetentionResult,
} from '../domain/retention';

export const retentionStatus = defineQuery<RetentionResult>('status');

const activities = proxyActivities<RetentionActivities>({
  startToCloseTimeout: '2 minutes',
  // How soon another worker takes over from one that was killed.
  heartbeatTimeout: '10 seconds',
  // An outage of MySQL shorter than this is sat out; the next run is not far.
  scheduleToCloseTimeout: '15 minutes',
  retry: { maximumInterval: '30 seconds', nonRetryableErrorTypes: [INVALID_INPUT] },
});

/** Where a run that continues as new goes on. */
export interface RetentionInput {
  readonly current: RetentionClass;
  readonly after?: AgePlace | string;
  readonly soFar: RetentionResult;
}

export async function retention(input?: RetentionInput): Promise<RetentionResult> {
  const result: RetentionResult = { ...input?.soFar };
  setHandler(retentionStatus, () => result);
  const first = RETENTION_CLASSES.indexOf(input?.current ?? RETENTION_CLASSES[0]);
  const hasBundles = patched('export-bundles');
  for (const name of RETENTION_CLASSES.slice(first)) {
    if (name === 'purgeExportBundles' && !hasBundles) continue;
    let after = name === input?.current ? input.after : undefined;
    let { removed, held } = result[name] ?? { removed: 0, held: 0 };
    do {
      const page = await purge(name, after);
      if (page === 'failed') {
        result[name] = { removed, held, failed: true };
        break;
      }
      removed += page.removed;
      held += page.held;
      after = page.next;
      result[name] = { removed, held };
      setCurrentDetails(detailsOf(result));
      if (after !== undefined && workflowInfo().continueAsNewSuggested) {
        await continueAsNew<typeof retention>({ current: name, after, soFar: result });
      }
    } while (after !== undefined);
  }
  setCurrentDetails(detailsOf(result));
  const left = RETENTION_CLASSES.filter((name) => result[name]?.failed);
  if (left.length > 0) {
    throw ApplicationFailure.create({
      message: `not purged: ${left.join(', ')}`,
      type: CLASSES_LEFT,
      nonRetryable: true,
      details: [result],
    });
  }
  return result;
}

async function purge(
  name: RetentionClass,
  after: AgePlace | string | undefined,
): Promise<PurgePage<AgePlace | string> | 'failed'> {
  const activity = activities[name] as (
    input: PurgeInput<AgePlace | string>,
  ) => Promise<PurgePage<AgePlace | string>>;
  try {
    return await activity({ ...(after !== undefined && { after }) });
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    return 'failed';
  }
}

function detailsOf(result: RetentionResult): string {
  return RETENTION_CLASSES.filter((name) => result[name])
    .map((name) => {
      const { removed = 0, held = 0, failed } = result[name] ?? {};
      return `- ${name}: ${removed} removed, ${held} kept by legal holds${failed ? ', failed' : ''}`;
    })
    .join('\n');
}
