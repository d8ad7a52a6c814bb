/** Hands a group message to the members who are connected here, except the one who sent it. */
import type { Logger } from 'pino';
import type { GroupMessage } from '../common/kafka';
import { Backoff, pause } from '../common/wait';
import type { Connections } from './connections';
import type { GroupMembers } from './group-members';

/** With growing pauses about 3 s: a restart of the user service, not an outage. */
const ATTEMPTS = 5;

export class GroupPush {
  constructor(
    private readonly connections: Connections,
    private readonly members: GroupMembers,
    private readonly log: Logger,
  ) {}

  async push(message: GroupMessage): Promise<void> {
    if (this.connections.size === 0) return;
    const members = await this.membersOf(message.group_id);
    const frame = { type: 'group_message', ...message };
    let delivered = 0;
    for (const userId of this.connections.users()) {
      if (userId === message.sender_id || !members.has(userId)) continue;
      for (const device of this.connections.devicesOf(userId)) {
        if (device.send(frame)) delivered += 1;
      }
    }
    const { msg_id: msgId, group_id: groupId } = message;
    this.log.info({ msgId, groupId, delivered }, 'group push');
  }

  private async membersOf(groupId: string): Promise<ReadonlySet<string>> {
    const backoff = new Backoff(200, 2_000);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.members.of(groupId);
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
        await pause(backoff.next());
      }
    }
  }
}
