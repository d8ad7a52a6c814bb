/** Who may delete which message, and from whose view: the request behind `DELETE /api/v1/messages/…`. */
import type { ErasedMessages } from '../activities/mysql/erased-messages';
import type { GdprJob, GdprJobs, NewGdprJob } from '../activities/mysql/gdpr-jobs';
import type { DeleteInput } from '../domain/gdpr-delete';
import type { MessageFacts } from '../domain/receipts';
import type { GdprRequests } from './gdpr-requests';
import type { MessageAccess } from './message-access';
import { reading } from './store-errors';

export interface MessageDeletionsDeps {
  readonly access: MessageAccess;
  readonly erased: Pick<ErasedMessages, 'find'>;
  readonly jobs: Pick<GdprJobs, 'find'>;
  readonly requests: Pick<GdprRequests, 'request' | 'follow'>;
}

export interface Deleter {
  readonly userId: string;
  readonly isCompliance: boolean;
}

/** `deleted`: before, for this caller. */
export type Deletion = 'unknown' | 'deleted' | GdprJob;

export class MessageDeletions {
  constructor(private readonly deps: MessageDeletionsDeps) {}

  /**
   * Deletes for everybody when the sender or compliance asks, for themself when somebody who received it
   * does. Resolves with the job as it is after at most `waitMs`.
   */
  async request(deleter: Deleter, msgId: string, waitMs: number): Promise<Deletion> {
    const { access, requests } = this.deps;
    const facts = await access.find(msgId);
    if (!facts) return this.again(deleter, msgId, waitMs);
    const isSender = facts.senderId === deleter.userId;
    if (isSender || deleter.isCompliance) {
      return requests.request(forAll(deleter, facts, isSender), waitMs);
    }
    if (!(await access.received(deleter.userId, facts))) return 'unknown';
    if (await access.isHidden(deleter.userId, msgId)) return 'deleted';
    return requests.request(forOne(deleter, facts), waitMs);
  }

  /** Nothing knows the message any more: whoever could see the job of its deletion hears of that. */
  private async again(deleter: Deleter, msgId: string, waitMs: number): Promise<Deletion> {
    const { erased, jobs, requests } = this.deps;
    const jobId = await reading(erased.find(msgId));
    const job = jobId === undefined ? undefined : await reading(jobs.find(jobId));
    const { userId, isCompliance } = deleter;
    if (!job || !(isCompliance || [job.userId, job.requestedBy].includes(userId))) return 'unknown';
    return requests.follow(job, workflowIdOf(msgId), waitMs);
  }
}

function workflowIdOf(msgId: string, forUser?: string): string {
  return forUser === undefined ? `gdpr-delete/${msgId}` : `gdpr-delete/${msgId}/${forUser}`;
}

function forAll(deleter: Deleter, facts: MessageFacts, isSender: boolean): NewGdprJob {
  return {
    ...common(deleter, facts),
    userId: facts.senderId,
    requestedRole: isSender ? 'own' : 'compliance',
    audit: { action: 'message.delete', subjectKind: 'message', subjectId: facts.msgId },
  };
}

function forOne(deleter: Deleter, facts: MessageFacts): NewGdprJob {
  return {
    ...common(deleter, facts, deleter.userId),
    userId: deleter.userId,
    requestedRole: 'own',
    audit: { action: 'message.hide', subjectKind: 'message', subjectId: facts.msgId },
  };
}

function common(
  { userId }: Deleter,
  { msgId, senderId, conversation }: MessageFacts,
  forUser?: string,
): Pick<NewGdprJob, 'kind' | 'requestedBy' | 'name' | 'workflowId' | 'input'> {
  const { type, key } = conversation;
  const input: Omit<DeleteInput, 'jobId' | 'requestedBy'> = {
    userId: forUser ?? senderId,
    messageId: msgId,
    senderId,
    conversation: { type, key },
    ...(forUser !== undefined && { forUser }),
  };
  const name = workflowIdOf(msgId, forUser);
  return { kind: 'delete', requestedBy: userId, name, workflowId: () => name, input };
}
