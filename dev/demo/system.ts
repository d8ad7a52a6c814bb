/** The running system as the demo asks it: is it up, what became of a message, what a workflow did. */
import type { Client as GrpcClient } from '@grpc/grpc-js';
import { Client, Connection } from '@temporalio/client';
import { call, connect, loadService } from '../common/grpc';
import { pause } from '../common/wait';
import { workflowUrl, type DemoConfig } from './config';
import { StoryFailure } from './story';

const ASK_MS = 5_000;
const NOT_RUNNING =
  'Is the system running? Start it with "npm start" in another terminal, wait until it says ready, and run ' +
  'this again (with the same PORT_OFFSET, if you set one).';

export interface MessageStatus {
  status: string;
  delivered_devices: string[];
}

export interface WorkflowReport {
  id: string;
  status: string;
  url: string;
}

export class RunningSystem {
  private readonly im: GrpcClient;
  private temporal: Connection | undefined;

  constructor(readonly config: DemoConfig) {
    this.im = connect(loadService('api/v1/im.proto', 'im.v1.IMService'), config.imAddress);
  }

  /** Rejects with a sentence for people when something that the story needs does not answer. */
  async requireReady(): Promise<void> {
    await this.reach('the development gateway', `${this.config.gatewayUrl}/health`);
    await this.reach('the development user service', `${this.config.userServiceUrl}/health`);
    const ready = await this.reach('IM Service', `${this.config.imUrl}/ready`);
    if (ready.status !== 200) {
      throw new StoryFailure(`IM Service is not ready: ${await ready.text()}`, NOT_RUNNING);
    }
  }

  /** Creates a group with these members. */
  async createGroup(groupId: string, members: string[]): Promise<void> {
    const answer = await fetch(`${this.config.userServiceUrl}/groups/${groupId}`, {
      method: 'PUT',
      body: JSON.stringify({ members }),
      signal: AbortSignal.timeout(ASK_MS * 2),
    });
    if (!answer.ok) throw new StoryFailure(`the group was refused: ${await answer.text()}`);
  }

  /** Resolves when the gateway reads group messages; the caller has the deadline. */
  async gatewayReadsGroups(giveUp: AbortSignal): Promise<void> {
    while (!giveUp.aborted) {
      const answer = await this.reach(
        'the development gateway',
        `${this.config.gatewayUrl}/health`,
      );
      const health = (await answer.json()) as { group_messages: string };
      if (health.group_messages === 'reading') return;
      await pause(200, giveUp);
    }
  }

  async messageStatus(msgId: string | undefined): Promise<MessageStatus> {
    return call<MessageStatus>(this.im, 'GetMessageStatus', { msg_id: msgId }, ASK_MS);
  }

  /** The workflow that delivers a user's waiting messages, as Temporal knows it. */
  async offlineDelivery(userId: string): Promise<WorkflowReport> {
    const id = `offline-delivery/${userId}`;
    this.temporal ??= await Connection.connect({
      address: this.config.temporalAddress,
      connectTimeout: ASK_MS,
    });
    const { temporal, config } = this;
    const client = new Client({ connection: temporal, namespace: config.temporalNamespace });
    const description = await temporal.withDeadline(Date.now() + ASK_MS, () =>
      client.workflow.getHandle(id).describe(),
    );
    return { id, status: description.status.name, url: workflowUrl(config, id) };
  }

  async close(): Promise<void> {
    this.im.close();
    await this.temporal?.close();
  }

  private async reach(who: string, url: string): Promise<Response> {
    try {
      return await fetch(url, { signal: AbortSignal.timeout(ASK_MS) });
    } catch (error) {
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      const reason = cause instanceof Error ? cause.message : 'no reason given';
      throw new StoryFailure(`${who} does not answer at ${url} (${reason}).`, NOT_RUNNING);
    }
  }
}
