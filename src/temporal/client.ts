/** The Temporal client: connects when first used, and every call has a deadline. */
import { Client, Connection } from '@temporalio/client';

export interface TemporalOptions {
  readonly address: string;
  readonly namespace: string;
}

/** How long connecting may take, ms; calls have deadlines of their own. */
const CONNECT_TIMEOUT_MS = 2_000;

export class Temporal {
  readonly client: Client;
  private readonly connection: Connection;
  private underWay = 0;

  constructor(options: TemporalOptions) {
    this.connection = Connection.lazy({
      address: options.address,
      connectTimeout: CONNECT_TIMEOUT_MS,
    });
    this.client = new Client({ connection: this.connection, namespace: options.namespace });
  }

  /** Runs calls of the client; those still under way after `ms` fail. */
  async within<T>(ms: number, calls: (client: Client) => Promise<T>): Promise<T> {
    return this.withDeadline(ms, () => calls(this.client));
  }

  /** The connection, for Temporal's operator service. */
  get operator(): Connection['operatorService'] {
    return this.connection.operatorService;
  }

  /** Rejects when Temporal does not serve. */
  async ping(ms: number): Promise<void> {
    // Not `ensureConnected`: it would answer for ever what it found the first time.
    await this.withDeadline(ms, () => this.connection.workflowService.getSystemInfo({}));
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  /**
   * The SDK keeps deadlines and headers of calls in an AsyncLocalStorage. As long as one is in use, Node
   * follows every promise of the process, which each message pays for: it is put away as soon as no call
   * is under way.
   */
  private async withDeadline<T>(ms: number, calls: () => Promise<T>): Promise<T> {
    this.underWay += 1;
    try {
      return await this.connection.withDeadline(Date.now() + ms, calls);
    } finally {
      this.underWay -= 1;
      if (this.underWay === 0) this.connection.callContextStorage.disable();
    }
  }
}
