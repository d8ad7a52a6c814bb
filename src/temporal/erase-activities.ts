/** The steps of a user's erasure as Temporal calls them, each with the system that it needs. */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity';
import { INVALID_INPUT } from '../domain/delivery';
import type { EraseActivities, EraseInput } from '../domain/erasure';
import { LEGAL_HOLD } from '../domain/gdpr';
import type { GdprExpiry, GdprSystem } from '../domain/gdpr';
import { idProblem, MAX_USER_ID_BYTES } from '../domain/ids';
import type { Logger } from '../logger';
import type { EraseUser } from '../routing/erase-user';
import { inSystem } from './gdpr-activities';

export interface EraseActivityDeps {
  readonly eraser: EraseUser;
  /** When the copies on Kafka that are made now are gone. */
  readonly copies: () => Promise<GdprExpiry[]>;
  readonly log: Logger;
}

export function createEraseActivities({ eraser, copies, log }: EraseActivityDeps): EraseActivities {
  const run = <T>(
    system: GdprSystem,
    work: (userId: string, signal: AbortSignal) => Promise<T>,
  ): ((input: EraseInput) => Promise<T>) => {
    return (input) =>
      inSystem(system, log, () => work(checked(input).userId, cancellationSignal()));
  };
  return {
    checkErasureHolds: run('mysql', async (userId, signal) => {
      if (await eraser.isHeld(userId, signal)) throw held();
      return { found: 0 };
    }),
    findUserTraces: run('mysql', (userId) => eraser.find(userId)),
    destroyUserKeys: run('mysql', async (userId, signal) => {
      if (!(await eraser.destroyKeys(userId, signal))) throw held();
    }),
    eraseUserMessages: run('mysql', (userId, signal) => eraser.messages(userId, signal)),
    eraseUserInbox: run('mysql', (userId, signal) => eraser.inbox(userId, signal)),
    eraseUserReceipts: run('mysql', (userId, signal) => eraser.receipts(userId, signal)),
    eraseUserGroups: run('mysql', (userId, signal) => eraser.groups(userId, signal)),
    eraseUserInRedis: run('redis', (userId, signal) => eraser.redis(userId, signal)),
    eraseUserExports: run('mysql', (userId) => eraser.exports(userId)),
    verifyErasure: run('mysql', (userId, signal) => eraser.verify(userId, signal)),
    dateUserCopies: run('kafka', () => copies()),
  };
}

function held(): ApplicationFailure {
  return ApplicationFailure.nonRetryable('a legal hold forbids it', LEGAL_HOLD);
}

/** A person may start an erasure by hand, with anything as its input. */
function checked(input: EraseInput): EraseInput {
  const { userId } = input as Partial<EraseInput>;
  if (typeof userId === 'string' && idProblem(userId, MAX_USER_ID_BYTES) === undefined)
    return input;
  throw ApplicationFailure.nonRetryable('it does not name a user', INVALID_INPUT);
}
