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
/** Of one caller: whoever reads slowly keeps nobody else from theirs. */
const MAX_OF_CALLER = 3;

export interface Download {
  readonly jobId: string;
  /** Whose data it is. */
  readonly userId: string;
  /** Who fetches it. */
  readonly by: string;
  readonly form: ExportForm;
}

export class ExportDownloads {
  private readonly open: Download[] = [];

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
  async start(download: Download): Promise<Readable> {
    const { jobId, userId, by, form } = download;
    this.admit(download);
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
      stream.once('close', () => this.leave(download));
      return stream;
    } catch (error) {
      this.leave(download);
      throw error;
    }
  }

  private admit(download: Download): void {
    const ofCaller = this.open.filter(({ by }) => by === download.by).length;
    if (this.open.length >= MAX_DOWNLOADS || ofCaller >= MAX_OF_CALLER) {
      const whose = ofCaller >= MAX_OF_CALLER ? ' of yours' : '';
      const detail = `${whose ? ofCaller : this.open.length} downloads${whose} are under way`;
      throw new ImError('SERVICE_UNAVAILABLE', detail);
    }
    this.open.push(download);
  }

  private leave(download: Download): void {
    this.open.splice(this.open.indexOf(download), 1);
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
