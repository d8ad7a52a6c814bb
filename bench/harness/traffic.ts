/** What the generator sends: kinds of messages and their shares, made of numbers, so that any message can be sent again. */
import { RequestTemplate } from './h2/request-template';
import type { NumberSlot } from './h2/request-template';
import { bytesField, stringField, varintField } from './protobuf';

/** One kind of message in a mix. User and group ids are a prefix and a number of six digits. */
export interface Traffic {
  readonly method: 'RoutePrivateMessage' | 'RouteGroupMessage';
  /** Of 1,000 messages. */
  readonly share: number;
  readonly sender: string;
  readonly target: string;
  /** How many recipients or groups there are. */
  readonly targets: number;
  readonly contentBytes: number;
  /** Sent, but not in the latencies: what else goes on while others are measured. */
  readonly aside?: boolean;
}

export interface LoadSpec {
  /** Begins the ids of all messages of this load; unique among all loads of a system. */
  readonly run: string;
  readonly ports: readonly number[];
  readonly connections: number;
  /** Route calls, or a stream on each connection. */
  readonly way: 'unary' | 'stream';
  readonly loop:
    | { readonly kind: 'closed'; readonly callers: number }
    | { readonly kind: 'open'; readonly perSecond: number };
  /** Before anything is measured: at least this long, and so many messages. */
  readonly warmUpS: number;
  readonly warmUpMessages: number;
  readonly seconds: number;
  readonly mix: readonly Traffic[];
  /** Conversations of each kind. */
  readonly conversations: number;
  /** Of 1,000 calls, how many send an acknowledged message again. */
  readonly resends: number;
  /** Reports percentiles of each interval of so many seconds; 0: none. */
  readonly intervalS: number;
  /** Ends once so many messages are answered; 0: after the time. */
  readonly messages: number;
}

/** Everything a load has to say but what and where. */
export const LOAD_DEFAULTS = {
  connections: 4,
  way: 'unary' as LoadSpec['way'],
  warmUpS: 3,
  warmUpMessages: 0,
  seconds: 10,
  // Prime, so that it shares no rhythm with the mix.
  conversations: 2_003,
  resends: 0,
  intervalS: 0,
  messages: 0,
} as const;

export const ID_DIGITS = 6;
export const MESSAGE_DIGITS = 9;
const MIX_LENGTH = 1_000;

/** The id that the prefix and number of a user or group make. */
export function idOf(prefix: string, number: number): string {
  return prefix + String(number).padStart(ID_DIGITS, '0');
}

/** Which kind the n-th message is: the shares of the mix, evenly interleaved. */
export function mixTable(mix: readonly Traffic[]): Uint8Array {
  const total = mix.reduce((sum, each) => sum + each.share, 0);
  const table = new Uint8Array(MIX_LENGTH);
  const debt = mix.map(() => 0);
  for (let i = 0; i < MIX_LENGTH; i++) {
    mix.forEach((each, k) => (debt[k] = (debt[k] as number) + each.share / total));
    const most = debt.indexOf(Math.max(...debt));
    debt[most] = (debt[most] as number) - 1;
    table[i] = most;
  }
  return table;
}

/** Writes messages of one kind. */
export class Kind {
  readonly template: RequestTemplate;
  private readonly numbers = [0, 0, 0];

  constructor(
    private readonly traffic: Traffic,
    private readonly conversations: number,
    run: string,
    timestamp: number,
  ) {
    const zeros = (count: number): string => '0'.repeat(count);
    const parts = [
      stringField(1, run + zeros(MESSAGE_DIGITS)),
      stringField(2, traffic.sender + zeros(ID_DIGITS)),
      stringField(3, traffic.target + zeros(ID_DIGITS)),
      stringField(4, 'lorem ipsum '.repeat(1_000).slice(0, traffic.contentBytes)),
      varintField(5, timestamp),
      bytesField(6, Buffer.concat([stringField(1, 'content_type'), stringField(2, 'text/plain')])),
    ];
    const ends = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length);
    const slot = (part: number, digits: number): NumberSlot => {
      return { at: (ends[part] as number) - digits, digits };
    };
    this.template = new RequestTemplate(
      'im-service',
      `/im.v1.IMService/${traffic.method}`,
      Buffer.concat(parts),
      [slot(0, MESSAGE_DIGITS), slot(1, ID_DIGITS), slot(2, ID_DIGITS)],
      traffic.method === 'RoutePrivateMessage' ? 1 : 2,
    );
  }

  /** The numbers of message `n`: its own, its sender's, its target's. The same array each time. */
  numbersOf(n: number): readonly number[] {
    const conversation = n % this.conversations;
    const target = conversation % this.traffic.targets;
    this.numbers[0] = n;
    // A group's sender is a member: one for each group.
    this.numbers[1] = this.traffic.method === 'RouteGroupMessage' ? target : conversation;
    this.numbers[2] = target;
    return this.numbers;
  }
}
