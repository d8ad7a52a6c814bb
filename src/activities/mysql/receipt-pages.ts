/** The receipts of one message as its sender and its readers page through them. */
import type { ReadSummary } from '../../domain/receipts';
import type { Database } from './database';

/** That somebody has read a message, when first and on which devices. */
export interface Reader {
  readonly readerId: string;
  readonly readAt: number;
  /** Those that the clients named. */
  readonly devices: readonly string[];
}

export class ReceiptPages {
  constructor(private readonly db: Database) {}

  /** The first `limit` readers of a message, in the order of their ids, after `afterReaderId`. */
  async readers(msgId: string, afterReaderId: string, limit: number): Promise<Reader[]> {
    const rows = await this.db.select<{ readerId: string; readAt: number }>(
      `SELECT reader_id AS readerId, MIN(read_at) AS readAt FROM read_receipts
       WHERE msg_id = ? AND reader_id > ? GROUP BY reader_id ORDER BY reader_id LIMIT ?`,
      [msgId, afterReaderId, limit],
    );
    if (rows.length === 0) return [];
    const devices = await this.db.select<{ readerId: string; deviceId: string }>(
      `SELECT reader_id AS readerId, device_id AS deviceId FROM read_receipts
       WHERE msg_id = ? AND reader_id IN (?) AND device_id <> '' ORDER BY id`,
      [msgId, rows.map((row) => row.readerId)],
    );
    return rows.map((row) => {
      const own = devices.filter((d) => d.readerId === row.readerId);
      return Object.assign(row, { devices: own.map((d) => d.deviceId) });
    });
  }

  /** What the receipts of a message came to when they were last aggregated. */
  async summary(msgId: string): Promise<ReadSummary | undefined> {
    const [row] = await this.db.select<
      Omit<ReadSummary, 'firstReaders'> & { firstReaders: string }
    >(
      `SELECT reader_count AS readerCount, first_read_at AS firstReadAt, last_read_at AS lastReadAt,
         first_readers AS firstReaders
       FROM read_summaries WHERE msg_id = ?`,
      [msgId],
    );
    return row && { ...row, firstReaders: JSON.parse(row.firstReaders) as string[] };
  }
}
