/**
 * Requests a caller may make in a time, counted in Redis for all servers together. What is asked in one
 * turn of the event loop is asked in one call.
 */
import { TurnBatcher } from '../turn-batcher';
import { LuaScript } from './lua-script';
import type { RedisConnection } from './connection';

/** Every limit is per this long, ms. */
export const WINDOW_MS = 60_000;
/** Requests of one call; a script holds Redis up for all others, here for a fraction of a ms. */
const MAX_BATCH = 64;

/** One of `limit` requests a minute. */
export interface Take {
  readonly kind: 'user' | 'address';
  readonly caller: string;
  readonly limit: number;
}

export interface Allowance {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Ms until the whole limit is there again. */
  readonly resetMs: number;
  /** Ms until the next request is let through; 0 when this one was. */
  readonly retryMs: number;
}

type Answer = [taken: number, remaining: number, resetMs: number, retryMs: number];
type Allowances = readonly (Allowance | undefined)[];

export class RateLimiter {
  private readonly takeScript = new LuaScript('take-rates');
  private readonly batches = new TurnBatcher<readonly Take[], Allowances>({
    run: (items) => this.takeAll(items),
    maxBatch: MAX_BATCH,
  });

  constructor(private readonly connection: RedisConnection) {}

  /**
   * Takes one request after another; nothing is taken after one that is refused. An allowance is
   * `undefined` when Redis holds something else in its place. Rejects when Redis is away.
   */
  take(takes: readonly Take[]): Promise<Allowances> {
    return this.batches.add(takes);
  }

  private async takeAll(items: readonly (readonly Take[])[]): Promise<Allowances[]> {
    const { redis } = this.connection.use();
    const keys: string[] = [];
    const args: number[] = [WINDOW_MS];
    for (const takes of items) {
      takes.forEach(({ kind, caller, limit }, i) => {
        keys.push(`rate:${kind}:${caller}`);
        args.push(limit, i === 0 ? 0 : 1);
      });
    }
    const answers = (await this.takeScript.run(redis, keys, args)) as Answer[];
    let at = 0;
    return items.map((takes) => takes.map(({ limit }) => allowanceOf(answers[at++], limit)));
  }
}

function allowanceOf(answer: Answer | undefined, limit: number): Allowance | undefined {
  if (!answer || answer[0] === -1) return undefined;
  const [taken, remaining, resetMs, retryMs] = answer;
  return { allowed: taken === 1, limit, remaining, resetMs, retryMs };
}
