/** MySQL behind one small class: deadlines on every statement, transactions that retry deadlocks. */
import { promisify } from 'node:util';
// Not its promises: they make three objects with listeners and stacks of their own for each statement.
import { createPool } from 'mysql2';
import type { Pool, PoolConnection, QueryResult, ResultSetHeader, RowDataPacket } from 'mysql2';

/** Times a transaction that InnoDB chose as a deadlock's victim is tried again. */
const DEADLOCK_RETRIES = 5;
const DEADLOCK = 1213;
const LOCK_WAIT_TIMEOUT = 1205;
/**
 * Seconds a statement waits for a row lock. Shorter than our own deadline: the server does not notice
 * that we have hung up while it waits, and would keep the locks it has for its default of 50 s.
 */
const LOCK_WAIT_S = 1;
/** The same strictness on every server: what does not fit is an error, never cut off. */
const SQL_MODE = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

export type Row = RowDataPacket;
export type SqlValue = string | number | bigint | null | Buffer;

/** Where a statement runs: on any connection of the pool, or in a transaction. */
export interface Queryable {
  /** Rows of a SELECT. Arrays in `values` become lists: `IN (?)`, `VALUES ?`. */
  select<T extends object>(sql: string, values?: readonly unknown[]): Promise<T[]>;
  /** An INSERT, UPDATE or DELETE; `affectedRows` counts changed rows. */
  execute(sql: string, values?: readonly unknown[]): Promise<ResultSetHeader>;
}

/** A statement is not answered in time; its connection is still busy with it. */
class StatementTimeout extends Error {
  override readonly name = 'StatementTimeout';
  readonly fatal = true;

  constructor(ms: number) {
    super(`MySQL did not answer within ${ms} ms`);
  }
}

export class Database implements Queryable {
  private constructor(
    private readonly pool: Pool,
    private readonly deadlineMs: number,
  ) {}

  /** A pool of at most `connections`; a statement over `deadlineMs` fails and its connection is dropped. */
  static open(options: { url: string; connections: number; deadlineMs: number }): Database {
    const pool = createPool({
      uri: options.url,
      connectionLimit: options.connections,
      // Waiting callers are bounded too: beyond this a caller fails at once.
      queueLimit: options.connections * 100,
      connectTimeout: options.deadlineMs,
      charset: 'utf8mb4_bin',
      supportBigNumbers: true,
      // BIGINTs beyond 2^53 come as strings; ours are ms and counters, far below.
      bigNumberStrings: false,
      enableKeepAlive: true,
      // UPDATE counts changed rows, not matched ones: that is how idempotent marks know they were first.
      flags: ['-FOUND_ROWS'],
    });
    // Queued on the new connection before the caller's own first statement.
    pool.on('connection', (on) => {
      on.query(
        `SET SESSION innodb_lock_wait_timeout = ${LOCK_WAIT_S}, SESSION sql_mode = '${SQL_MODE}'`,
        (error) => {
          if (error) on.destroy();
        },
      );
      // Once for all transactions, which spares each a round trip.
      on.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', (error) => {
        if (error) on.destroy();
      });
    });
    return new Database(pool, options.deadlineMs);
  }

  async select<T extends object>(sql: string, values: readonly unknown[] = []): Promise<T[]> {
    return this.withConnection((on) => select<T>(on, this.deadlineMs, sql, values));
  }

  /**
   * The same, of a statement that each connection prepares once: for what is asked all the time. Its text
   * must not vary, and its values are single ones.
   */
  async selectPrepared<T extends object>(sql: string, values: readonly SqlValue[]): Promise<T[]> {
    return this.withConnection((on) => selectPrepared<T>(on, this.deadlineMs, sql, values));
  }

  async execute(sql: string, values: readonly unknown[] = []): Promise<ResultSetHeader> {
    return this.withConnection((on) => execute(on, this.deadlineMs, sql, values));
  }

  /**
   * Runs `work` in one READ COMMITTED transaction; a deadlock's victim is tried again, so `work` must
   * have no effect but its statements.
   */
  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.withConnection((on) => this.attempt(on, work));
      } catch (error) {
        if (!isLockConflict(error) || attempt > DEADLOCK_RETRIES) throw error;
      }
    }
  }

  /** Rejects when the server does not answer. */
  async ping(): Promise<void> {
    await this.select('SELECT 1');
  }

  async close(): Promise<void> {
    await promisify(this.pool.end.bind(this.pool))();
  }

  private async attempt<T>(on: PoolConnection, work: (tx: Queryable) => Promise<T>): Promise<T> {
    const tx: Queryable = {
      select: (sql, values = []) => select(on, this.deadlineMs, sql, values),
      execute: (sql, values = []) => execute(on, this.deadlineMs, sql, values),
    };
    await tx.execute('START TRANSACTION');
    try {
      const result = await work(tx);
      await tx.execute('COMMIT');
      return result;
    } catch (error) {
      // A lost connection rolls back by itself, and a busy one must not be asked for more.
      if (!isFatal(error)) await tx.execute('ROLLBACK');
      throw error;
    }
  }

  private async withConnection<T>(work: (on: PoolConnection) => Promise<T>): Promise<T> {
    const on = await this.connection();
    try {
      const result = await work(on);
      on.release();
      return result;
    } catch (error) {
      // After a time-out or a protocol error the connection may still be busy: not to be shared again.
      if (isFatal(error)) on.destroy();
      else on.release();
      throw error;
    }
  }

  /** A connection within the deadline: the pool itself waits for ever when all are busy. */
  private connection(): Promise<PoolConnection> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        reject(new Error(`no MySQL connection within ${this.deadlineMs} ms`));
      }, this.deadlineMs);
      this.pool.getConnection((error, on) => {
        clearTimeout(timer);
        if (error) reject(error);
        else if (isLate) on.release();
        else resolve(on);
      });
    });
  }
}

async function select<T extends object>(
  on: PoolConnection,
  timeout: number,
  sql: string,
  values: readonly unknown[],
): Promise<T[]> {
  return (await run<Row[]>(on, timeout, sql, values)) as unknown as T[];
}

function execute(
  on: PoolConnection,
  timeout: number,
  sql: string,
  values: readonly unknown[],
): Promise<ResultSetHeader> {
  return run<ResultSetHeader>(on, timeout, sql, values);
}

function selectPrepared<T extends object>(
  on: PoolConnection,
  timeout: number,
  sql: string,
  values: readonly SqlValue[],
): Promise<T[]> {
  return new Promise((resolve, reject) => {
    // The library's own time-out leaves the preparing out.
    const timer = setTimeout(() => reject(new StatementTimeout(timeout)), timeout);
    on.execute<Row[]>({ sql, values: values as SqlValue[] }, (error, rows) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(rows as unknown as T[]);
    });
  });
}

function run<Result extends QueryResult>(
  on: PoolConnection,
  timeout: number,
  sql: string,
  values: readonly unknown[],
): Promise<Result> {
  return new Promise((resolve, reject) => {
    on.query<Result>({ sql, values: values as unknown[], timeout }, (error, result) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
}

/** Whether a statement lost against another transaction, and did nothing: it may be tried again. */
export function isLockConflict(error: unknown): boolean {
  const errno = (error as { errno?: number }).errno;
  return errno === DEADLOCK || errno === LOCK_WAIT_TIMEOUT;
}

function isFatal(error: unknown): boolean {
  const { fatal, code } = error as { fatal?: boolean; code?: string };
  return fatal === true || code === 'PROTOCOL_SEQUENCE_TIMEOUT';
}

/** Errors about a value, which no retry mends; the last one is about a statement too large to send. */
const DATA_ERRORS = new Set([
  'ER_DATA_TOO_LONG',
  'ER_WARN_DATA_OUT_OF_RANGE',
  'ER_TRUNCATED_WRONG_VALUE_FOR_FIELD',
  'ER_TRUNCATED_WRONG_VALUE',
  'WARN_DATA_TRUNCATED',
  'ER_BAD_NULL_ERROR',
  'ER_NET_PACKET_TOO_LARGE',
]);

/** The name of an error about a value, without the value; `undefined` for every other error. */
export function dataErrorOf(error: unknown): string | undefined {
  const { code } = error as { code?: string };
  return code !== undefined && DATA_ERRORS.has(code) ? code : undefined;
}

/** Whether a row with the same key was there already. The statement did nothing; a transaction goes on. */
export function isDuplicate(error: unknown): boolean {
  return (error as { code?: string }).code === 'ER_DUP_ENTRY';
}

/** SQL states of answers about the statement itself: rights and syntax, integrity, values. */
const REFUSALS = /^(42|23|22|21)/;

/** Whether MySQL has answered, and waiting for it does not make it take the statement. */
export function mysqlRefuses(error: unknown): boolean {
  return REFUSALS.test((error as { sqlState?: string }).sqlState ?? '');
}
