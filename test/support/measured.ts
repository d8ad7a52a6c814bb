/** How many rows single statements go through, by MySQL's own count. */
import type { Database, Queryable } from '../../src/activities/mysql/database';

/** What is read, by a key or not, and what is changed. */
const COUNTERS = ['read_key', 'read_next', 'read_prev', 'read_rnd_next', 'delete', 'update'];

export interface Measure {
  /** Rows of the largest statement since the last call. */
  largest(): number;
}

/** Measures from now on; `db` has to have one connection only, whose counters these are. */
export function measure(db: Database): Measure {
  let largest = 0;
  const on = {
    select: db.select.bind(db),
    execute: db.execute.bind(db),
    transaction: db.transaction.bind(db),
  };
  const around = async <T>(where: Queryable, statement: () => Promise<T>): Promise<T> => {
    // Asking is counted as well.
    const earlier = await rowsOf(where);
    const before = await rowsOf(where);
    try {
      return await statement();
    } finally {
      const rows = (await rowsOf(where)) - before - (before - earlier);
      largest = Math.max(largest, rows);
    }
  };
  const measured = (where: Queryable): Queryable => ({
    select: (sql, values) => around(where, () => where.select(sql, values)),
    execute: (sql, values) => around(where, () => where.execute(sql, values)),
  });
  Object.assign(db, measured(on), {
    transaction: <T>(work: (tx: Queryable) => Promise<T>) =>
      on.transaction((tx) => work(measured(tx))),
  });
  return {
    largest: () => {
      const rows = largest;
      largest = 0;
      return rows;
    },
  };
}

async function rowsOf(on: Queryable): Promise<number> {
  const counters = await on.select<{ Value: string }>(
    'SHOW SESSION STATUS WHERE Variable_name IN (?)',
    [COUNTERS.map((name) => `Handler_${name}`)],
  );
  return counters.reduce((sum, { Value }) => sum + Number(Value), 0);
}
