/** The list of erased ids, and the jobs that list them: a canceled one has listed nothing. */
import type { Database } from '../../../src/activities/mysql/database';
import { ErasedMessages } from '../../../src/activities/mysql/erased-messages';
import { GdprJobs } from '../../../src/activities/mysql/gdpr-jobs';
import type { GdprEnd } from '../../../src/domain/gdpr';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';

describe('a job that deletes a message', () => {
  let db: Database;
  let jobs: GdprJobs;
  let erased: ErasedMessages;

  beforeAll(async () => {
    db = await openDatabase();
    jobs = new GdprJobs(db, Date.now);
    erased = new ErasedMessages(db, Date.now);
  });
  afterAll(() => db.close());

  async function requested(messageId: string): Promise<string> {
    const { job } = await jobs.request({
      kind: 'delete',
      userId: 'alice',
      requestedBy: 'alice',
      requestedRole: 'own',
      name: unique('job'),
      workflowId: () => `gdpr-delete/${messageId}`,
      input: { userId: 'alice', messageId },
      audit: { action: 'message.delete', subjectKind: 'message', subjectId: messageId },
    });
    return job.jobId;
  }
  const list = (msgId: string, jobId: string) => erased.add(msgId, jobId, Date.now() + 60_000);
  const finish = (jobId: string, state: GdprEnd) =>
    jobs.finish({ jobId, state, steps: [], expires: [] });

  it('does not end as canceled once it has listed the message', async () => {
    const msgId = unique('msg');
    const jobId = await requested(msgId);
    expect(await list(msgId, jobId)).toBe(true);
    expect(await finish(jobId, 'canceled')).toBe(false);
    expect(await jobs.find(jobId)).toMatchObject({ state: 'requested', finishedAt: undefined });
    expect(await finish(jobId, 'done')).toBe(true);
    expect((await jobs.find(jobId))?.state).toBe('done');
  });

  it('lists nothing once it has ended as canceled, however late an attempt of it comes', async () => {
    const msgId = unique('msg');
    const jobId = await requested(msgId);
    expect(await finish(jobId, 'canceled')).toBe(true);
    expect(await list(msgId, jobId)).toBe(false);
    expect(await erased.find(msgId)).toBeUndefined();
    // Said again, as by an attempt whose answer was lost.
    expect(await finish(jobId, 'canceled')).toBe(true);
  });

  it('ends as canceled when it was another that listed the message', async () => {
    const msgId = unique('msg');
    const [first, second] = [await requested(msgId), await requested(msgId)];
    await list(msgId, first);
    await list(msgId, second);
    expect(await finish(second, 'canceled')).toBe(true);
    expect(await erased.find(msgId)).toBe(first);
  });

  it('has either listed it or ended as canceled when both come at once', async () => {
    for (let i = 0; i < 20; i++) {
      const msgId = unique('msg');
      const jobId = await requested(msgId);
      const [listed, canceled] = await Promise.all([list(msgId, jobId), finish(jobId, 'canceled')]);
      expect(listed).toBe(!canceled);
      expect(await erased.find(msgId)).toBe(listed ? jobId : undefined);
    }
  });
});
