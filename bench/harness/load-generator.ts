/**
 * The load generator, a process of its own that costs little: it is forked, given a {@link LoadSpec},
 * and reports when it begins to measure, when it ends, and what it saw.
 *
 * Latency counts from the time a message was due, not from when it could be sent (coordinated
 * omission): what a slow server or this process itself holds up is in the figures.
 */
import { StreamConnection } from './h2/stream-connection';
import { UnaryConnection } from './h2/unary-connection';
import { Latencies } from './latencies';
import type { LatencySummary } from './latencies';
import { Ledger, OUTCOME } from './ledger';
import { readFields } from './protobuf';
import { Kind, mixTable } from './traffic';
import type { LoadSpec } from './traffic';

/** What was sent is waited for so long, ms: longer than the deadline it was sent with. */
const DRAIN_MS = 15_000;
/** Acknowledged messages that a resend may choose from. */
const RECENT = 256;
/** More than there are outcomes. */
const OUTCOMES = 8;

export interface LoadResult {
  /** Answers a second in the measured time. */
  readonly perSecond: number;
  readonly latency: LatencySummary;
  /** How late the generator itself was, against its schedule: p99, ms; open loop only. */
  readonly lateP99: number;
  /** Codes in answers, with how often each came; the whole load, as are the next two. */
  readonly codes: Record<string, number>;
  /** Resent messages, and how many of them had the first answer again. */
  readonly resends: { readonly sent: number; readonly matching: number };
  /** {@link OUTCOME} of each message. */
  readonly outcomes: Uint8Array;
}

export type GeneratorNote =
  | { readonly kind: 'measuring' }
  | { readonly kind: 'interval'; readonly latency: LatencySummary; readonly perSecond: number }
  | { readonly kind: 'measured'; readonly answered: number; readonly seconds: number }
  | { readonly kind: 'result'; readonly result: LoadResult };

class Generator {
  private readonly ledger = new Ledger();
  private readonly latencies = new Latencies();
  private readonly interval = new Latencies();
  private readonly lateness = new Latencies();
  private readonly codes: Record<string, number> = {};
  private readonly kinds: readonly Kind[];
  private readonly table: Uint8Array;
  private readonly recent = new Int32Array(RECENT).fill(-1);
  private connections: (UnaryConnection | StreamConnection)[] = [];
  private next = 0;
  private calls = 0;
  private inFlight = 0;
  private acknowledged = 0;
  private resends = { sent: 0, matching: 0 };
  /** Answers within the measured time. */
  private answered = 0;
  private measuring = false;
  /** The measured time; messages due in it count. */
  private from = Infinity;
  private until = Infinity;
  private ended: (() => void) | undefined;

  constructor(private readonly spec: LoadSpec) {
    const now = Date.now();
    this.kinds = spec.mix.map((each) => new Kind(each, spec.conversations, spec.run, now));
    this.table = mixTable(spec.mix);
  }

  async run(): Promise<LoadResult> {
    const { spec } = this;
    for (let i = 0; i < spec.connections; i++) {
      const port = spec.ports[i % spec.ports.length] as number;
      this.connections.push(await this.open(port, i));
    }
    const over = new Promise<void>((resolve) => (this.ended = resolve));
    const began = performance.now();
    const clock = setInterval(() => this.watchClock(began), 10);
    const intervals =
      spec.intervalS > 0 ? setInterval(() => this.tell(), spec.intervalS * 1_000) : undefined;
    if (spec.loop.kind === 'closed') this.startCallers(spec.loop.callers);
    else this.startSchedule(began, spec.loop.perSecond);
    await over;
    clearInterval(clock);
    clearInterval(intervals);
    const giveUp = performance.now() + DRAIN_MS;
    while (this.inFlight > 0 && performance.now() < giveUp) await tick();
    for (const connection of this.connections) connection.close();
    return {
      perSecond: this.answered / ((this.until - this.from) / 1_000),
      latency: this.latencies.summary(),
      lateP99: this.lateness.summary().p99,
      codes: this.codes,
      resends: this.resends,
      outcomes: this.ledger.all(),
    };
  }

  private open(port: number, index: number): Promise<UnaryConnection | StreamConnection> {
    const Connection = this.spec.way === 'stream' ? StreamConnection : UnaryConnection;
    return Connection.open(port, {
      decode: (bytes, start, end) => this.decode(bytes, start, end),
      onDone: (tag, at, outcome) => this.onDone(index, tag, at, outcome),
      onClosed: (error) => {
        throw error;
      },
    });
  }

  private startCallers(callers: number): void {
    for (let i = 0; i < callers; i++) this.send(i % this.connections.length, performance.now());
    this.flush();
  }

  private startSchedule(began: number, perSecond: number): void {
    let due = 0;
    const step = (): void => {
      if (this.isOver) return;
      const now = performance.now();
      for (; ; due++) {
        const at = began + (due * 1_000) / perSecond;
        if (at > now) break;
        if (this.measuring) this.lateness.record(now - at);
        this.send(due % this.connections.length, at);
      }
      this.flush();
      setTimeout(step, 1);
    };
    step();
  }

  private get isOver(): boolean {
    return this.until !== Infinity && performance.now() >= this.until;
  }

  private watchClock(began: number): void {
    const now = performance.now();
    if (!this.measuring && this.until === Infinity) {
      const warm = this.next >= this.spec.warmUpMessages;
      if (now - began < this.spec.warmUpS * 1_000 || !warm) return;
      this.measuring = true;
      this.from = now;
      this.until = this.spec.messages > 0 ? Infinity : now + this.spec.seconds * 1_000;
      note({ kind: 'measuring' });
      if (this.spec.messages === 0) return;
    }
    if (this.spec.messages > 0 && this.measuring) {
      if (this.next < this.spec.messages || this.inFlight > 0) return;
      this.until = now;
    }
    if (now < this.until) return;
    this.measuring = false;
    note({ kind: 'measured', answered: this.answered, seconds: (this.until - this.from) / 1_000 });
    this.ended?.();
  }

  private tell(): void {
    if (!this.measuring) return;
    const latency = this.interval.summary();
    this.interval.reset();
    note({ kind: 'interval', latency, perSecond: latency.count / this.spec.intervalS });
  }

  /** The next message, or now and then an acknowledged one again. */
  private send(connection: number, at: number): void {
    const { spec } = this;
    if (spec.messages > 0 && this.next >= spec.messages) return;
    let n = -1;
    if (spec.resends > 0 && (this.calls * spec.resends) % 1_000 < spec.resends) {
      n = this.recent[this.calls % RECENT] as number;
    }
    this.calls += 1;
    const again = n >= 0;
    if (again) this.resends.sent += 1;
    else {
      n = this.next++;
      this.ledger.sent(n);
    }
    const kind = this.kinds[this.table[n % this.table.length] as number] as Kind;
    this.inFlight += 1;
    const tag = again ? -n - 1 : n;
    this.connections[connection]?.send(kind.template, kind.numbersOf(n), tag, at);
  }

  private onDone(connection: number, tag: number, at: number, answer: number | undefined): void {
    const now = performance.now();
    this.inFlight -= 1;
    const outcome = answer === undefined ? OUTCOME.error : answer % OUTCOMES;
    const sequence = answer === undefined ? 0 : Math.floor(answer / OUTCOMES);
    if (tag < 0) {
      if (this.ledger.matches(-tag - 1, outcome, sequence)) this.resends.matching += 1;
    } else {
      this.ledger.answered(tag, outcome, sequence);
      if (outcome < OUTCOME.failed) this.recent[this.acknowledged++ % RECENT] = tag;
    }
    if (this.measuring) this.answered += 1;
    if (at >= this.from && at < this.until && !this.isAside(tag < 0 ? -tag - 1 : tag)) {
      this.latencies.record(now - at);
      if (this.spec.intervalS > 0) this.interval.record(now - at);
    }
    if (this.spec.loop.kind === 'closed' && now < this.until) this.send(connection, now);
  }

  /**
   * An answer as one number: its sequence number and its outcome. Private: success, status,
   * sequence_number, error_message; in a group's, fields 4 and 5 are member_count and error_message.
   */
  private decode(bytes: Buffer, start: number, end: number): number {
    let outcome: number = OUTCOME.failed;
    let sequence = 0;
    readFields(bytes, start, end, {
      onVarint: (field, value) => {
        if (field === 3) sequence = value;
      },
      onBytes: (field, from, to) => {
        if (field === 2) outcome = outcomeOf(bytes[from] as number);
        else if (to > from) this.countCode(bytes.toString('latin1', from, to));
      },
    });
    return sequence * OUTCOMES + outcome;
  }

  private countCode(message: string): void {
    const code = message.split(':')[0] ?? message;
    this.codes[code] = (this.codes[code] ?? 0) + 1;
  }

  private isAside(n: number): boolean {
    return this.spec.mix[this.table[n % this.table.length] as number]?.aside === true;
  }

  private flush(): void {
    for (const connection of this.connections) connection.flush();
  }
}

/** By the first letter: delivered, offline, published, failed. */
function outcomeOf(letter: number): number {
  switch (letter) {
    case 0x64:
      return OUTCOME.delivered;
    case 0x6f:
      return OUTCOME.offline;
    case 0x70:
      return OUTCOME.published;
    default:
      return OUTCOME.failed;
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

function note(what: GeneratorNote): void {
  process.send?.(what);
}

process.once('disconnect', () => process.exit(1));
process.once('message', (spec: LoadSpec) => {
  void new Generator(spec).run().then((result) => {
    // The channel ends with the process: not before the result has left.
    process.send?.({ kind: 'result', result }, () => process.exit(0));
  });
});
