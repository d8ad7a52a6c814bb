/** One kafkajs client for a neighbour: bounded waits, and its log lines in ours. */
import { Kafka, logLevel, type LogEntry } from 'kafkajs';
import type { Logger } from 'pino';
import { useRequestTimersWhenNeeded } from '../../src/activities/kafka/request-timers';

/** The topics of the neighbours' contract that the stand-ins use. */
export const topics = {
  groupMessages: 'group_msg',
  membershipChanges: 'membership_change',
} as const;

/** The value on `membership_change`, to the field. */
export interface MembershipChange {
  group_id: string;
  user_id: string;
  event_type: 'join' | 'leave';
  timestamp: number;
}

/** The value on `group_msg`, to the field. */
export interface GroupMessage {
  msg_id: string;
  group_id: string;
  sender_id: string;
  content: string;
  message_type: string;
  sequence_number: number;
  timestamp: number;
}

/** A client whose own retries are few: callers here retry with a backoff of their own. */
export function kafkaClient(clientId: string, brokers: string[], log: Logger): Kafka {
  useRequestTimersWhenNeeded();
  return new Kafka({
    clientId,
    brokers,
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    retry: { retries: 2, initialRetryTime: 200, maxRetryTime: 1_000 },
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => forward(entry, log),
  });
}

// A broker that is away is a normal sight in development; what matters of it we log ourselves.
function forward(entry: LogEntry, log: Logger): void {
  const { message, error } = entry.log as { message: string; error?: unknown };
  log.debug({ kafka: entry.namespace, level: logLevel[entry.level], error }, message);
}
