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

  constructor(options: TemporalOptions) {
    this.connection = Connection.lazy({
      address: options.address,
      connectTimeout: CONNECT_TIMEOUT_MS,
    });
    this.client = new Client({ connection: this.connection, namespace: options.namespace });
  }

  /** Runs calls of the client; those still under way after `ms` fail. */
  async within<T>(ms: number, calls: (client: Client) => Promise<T>): Promise<T> {
    return this.connection.withDeadline(Date.now() + ms, () => calls(this.client));
  }

  /** The connection, for Temporal's operator service. */
  get operator(): Connection['operatorService'] {
    return this.connection.operatorService;
  }

  /** Rejects when Temporal does not serve. */
  async ping(ms: number): Promise<void> {
    // Not `ensureConnected`: it would answer for ever what it found the first time.
    await this.connection.withDeadline(Date.now() + ms, () =>
      this.connection.workflowService.getSystemInfo({}),
    );
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}
