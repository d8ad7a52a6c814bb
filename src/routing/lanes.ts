/**
 * The order of a stream: messages of one conversation get their sequence numbers, and with them their
 * turns to be pushed, in the order they entered; also when one takes longer than those behind it (its
 * recipient has to be looked up, the conversation needs a block of numbers, another attempt has it).
 *
 * For a conversation one call to Redis is under way at a time. It takes what has come meanwhile, so a
 * busy conversation is not slower for being in order.
 */
import { MAX_RUN } from '../activities/redis/message-states';
import type { Message } from '../domain/message';
import type { Earlier, Reservation, Reservations } from './reservation';

type Outcome = Reservation | Earlier | Error;

/** The lanes of one stream. */
export class Lanes {
  private readonly lanes = new Map<string, Lane>();

  constructor(private readonly reservations: Pick<Reservations, 'reserve' | 'reserveRun'>) {}

  /** The message's place behind all of its conversation that entered before. To be left in the end. */
  enter({ conversation: { key } }: Message): Place {
    // A private conversation's key has a slash, a group's has none: both in one map.
    let lane = this.lanes.get(key);
    if (!lane) {
      lane = new Lane(this.reservations, () => this.lanes.delete(key));
      this.lanes.set(key, lane);
    }
    return lane.enter();
  }
}

export class Place {
  /** Set once it asks for its number. */
  message: Message | undefined;
  hasLeft = false;
  private resolve: (outcome: Reservation | Earlier) => void = () => undefined;
  private reject: (error: Error) => void = () => undefined;

  constructor(private readonly lane: Lane) {}

  /** As {@link Reservations.reserve}, once all who entered before have their numbers or have left. */
  reserve(message: Message): Promise<Reservation | Earlier> {
    this.message = message;
    const outcome = new Promise<Reservation | Earlier>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.lane.proceed();
    return outcome;
  }

  /** Lets those behind pass; may be called more than once. */
  leave(): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    this.lane.proceed();
  }

  settle(outcome: Outcome): void {
    if (outcome instanceof Error) this.reject(outcome);
    else this.resolve(outcome);
  }
}

class Lane {
  private readonly places: Place[] = [];
  private isAsking = false;

  constructor(
    private readonly reservations: Pick<Reservations, 'reserve' | 'reserveRun'>,
    private readonly forget: () => void,
  ) {}

  enter(): Place {
    const place = new Place(this);
    this.places.push(place);
    return place;
  }

  /** Asks for the numbers of those in front who want theirs. */
  proceed(): void {
    if (this.isAsking) return;
    const run = this.takeReady();
    if (run.length > 0) void this.ask(run);
    else if (this.places.length === 0) this.forget();
  }

  private takeReady(): Place[] {
    const run: Place[] = [];
    let count = 0;
    for (const place of this.places) {
      if (run.length === MAX_RUN || !(place.hasLeft || place.message)) break;
      count += 1;
      if (place.hasLeft) continue;
      place.hasLeft = true;
      run.push(place);
    }
    this.places.splice(0, count);
    return run;
  }

  private async ask(run: readonly Place[]): Promise<void> {
    this.isAsking = true;
    for (let at = 0; at < run.length;) {
      // One alone goes with those of other conversations.
      if (run.length > 1) {
        const messages = run.slice(at).map((place) => place.message as Message);
        for (const outcome of await this.reservations.reserveRun(messages)) {
          run[at++]?.settle(outcome);
        }
      }
      const slow = run[at++];
      if (slow) slow.settle(await this.alone(slow));
    }
    this.isAsking = false;
    this.proceed();
  }

  private async alone(place: Place): Promise<Outcome> {
    try {
      return await this.reservations.reserve(place.message as Message);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}
