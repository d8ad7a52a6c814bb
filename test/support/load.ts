/** Messages sent at a steady rate, and what each was answered; the ledger of the fault tests. */
import type { Database } from '../../src/activities/mysql/database';
import { sleep } from '../../src/activities/sleep';
import type { TestGateway } from './gateway';
import { unique } from './ids';
import type { RouteResponse } from './im-client';
import { waitFor } from './wait';

type Send = (
  senderId: string,
  recipientId: string,
  content: string,
  msgId: string,
) => Promise<RouteResponse>;

interface Sent {
  readonly msgId: string;
  readonly recipientId: string;
  readonly answer: RouteResponse;
}

const CONTENT = 'under load';
/** Users of each kind; every user has several conversations' worth of messages. */
const USERS = 10;

export class Load {
  readonly answered: Sent[] = [];
  /** Calls that ended without an answer; a client would send these again. */
  readonly unanswered: string[] = [];
  private readonly recipients = new Map<string, string>();
  private readonly online = Array.from({ length: USERS }, () => unique('online'));
  private readonly offline = Array.from({ length: USERS }, () => unique('offline'));
  private readonly sender = unique('sender');
  private readonly inFlight = new Set<Promise<void>>();
  private stopped = false;
  private running: Promise<void> | undefined;

  constructor(
    private readonly send: Send,
    private readonly gateway: TestGateway,
  ) {}

  /** Sends `rate` messages a second, alternately to users online and offline, until stopped. */
  async start(rate: number): Promise<void> {
    await Promise.all(this.online.map((user) => this.gateway.connect(user, 'phone')));
    this.running = (async () => {
      for (let i = 0; !this.stopped; i++) {
        const users = i % 2 ? this.online : this.offline;
        this.one(users[i % USERS] as string);
        await sleep(1_000 / rate);
      }
    })();
  }

  get successes(): Sent[] {
    return this.answered.filter((sent) => sent.answer.success);
  }

  /** Waits until so many more messages were answered with success and no code. */
  async wellAgain(count: number, timeoutMs: number): Promise<void> {
    const from = this.answered.length;
    await waitFor(`${count} undegraded answers`, timeoutMs, () =>
      Promise.resolve(
        this.answered.slice(from).filter(({ answer }) => answer.success && !answer.code).length >=
          count,
      ),
    );
  }

  /** Sends a message again, as a gateway does that had no answer. */
  retry(msgId: string): Promise<RouteResponse> {
    return this.send(this.sender, this.recipients.get(msgId) ?? '', CONTENT, msgId);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
    await Promise.all(this.inFlight);
  }

  /** The messages answered with success that were neither pushed nor are in an inbox; waits for none. */
  async lost(db: Database, timeoutMs: number): Promise<string[]> {
    let missing: string[] = [];
    try {
      await waitFor('every message to be somewhere', timeoutMs, async () => {
        const pushed = new Set(this.gateway.pushes.map((push) => push.msg_id));
        const unpushed = this.successes.map((s) => s.msgId).filter((id) => !pushed.has(id));
        if (unpushed.length === 0) return true;
        const rows = await db.select<{ msg_id: string }>(
          'SELECT msg_id FROM inbox WHERE msg_id IN (?)',
          [unpushed],
        );
        const kept = new Set(rows.map((row) => row.msg_id));
        missing = unpushed.filter((id) => !kept.has(id));
        return missing.length === 0;
      });
    } catch {
      // The caller asserts on what is missing, and shows it.
      return missing;
    }
    return [];
  }

  private one(recipientId: string): void {
    const msgId = unique('msg');
    this.recipients.set(msgId, recipientId);
    const call = this.send(this.sender, recipientId, CONTENT, msgId)
      .then(
        (answer) => void this.answered.push({ msgId, recipientId, answer }),
        () => void this.unanswered.push(msgId),
      )
      .finally(() => this.inFlight.delete(call));
    this.inFlight.add(call);
  }
}
