/** Hands bundles out: each download is in the audit log before its first byte, and there are not too many. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { AuditLog } from '../activities/mysql/audit-log';
import { BundleGoneError } from '../activities/mysql/export-bundles';
import { asImError, ImError } from '../domain/errors';
import type { ExportForm, ExportReader } from './read-export';
import { writing } from './store-errors';

/** Downloads of a process at once: each holds a few MB. */
const MAX_DOWNLOADS = 20;

export interface Download {
  readonly jobId: string;
  /** Whose data it is. */
  readonly userId: string;
  /** Who fetches it. */
  readonly by: string;
  readonly form: ExportForm;
}

export class ExportDownloads {
  private open = 0;

  constructor(
    private readonly deps: {
      readonly reader: ExportReader;
      readonly audit: Pick<AuditLog, 'append'>;
    },
  ) {}

  /**
   * The bundle as a stream that is read no faster than it is taken. Rejects with {@link BundleGoneError}, or
   * with SERVICE_UNAVAILABLE when too many are under way.
   */
  async start({ jobId, userId, by, form }: Download): Promise<Readable> {
    if (this.open >= MAX_DOWNLOADS) {
      throw new ImError('SERVICE_UNAVAILABLE', `${MAX_DOWNLOADS} downloads are under way`);
    }
    this.open += 1;
    try {
      const pieces = await this.read(jobId, form);
      await writing(
        this.deps.audit.append({
          actor: by,
          action: 'user.export.download',
          subjectKind: 'user',
          subjectId: userId,
          outcome: 'started',
          details: { job_id: jobId, form },
          entryKey: `${jobId}/download/${randomUUID()}`,
        }),
      );
      const stream = Readable.from(pieces);
      stream.once('close', () => (this.open -= 1));
      return stream;
    } catch (error) {
      this.open -= 1;
      throw error;
    }
  }

  private async read(jobId: string, form: ExportForm): Promise<AsyncIterable<string | Buffer>> {
    try {
      return await this.deps.reader.read(jobId, form);
    } catch (error) {
      if (error instanceof BundleGoneError) throw error;
      throw asImError(error, 'RETRIEVAL_ERROR', 'the bundle cannot be read now');
    }
  }
}
