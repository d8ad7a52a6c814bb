/**
 * A lane is a whole set of servers, for one test file at a time: workers of two files on one set would
 * share each other's users, and `test/faults` takes servers away.
 */
import { SERVER_NAMES, withoutStack, type ServerName } from '../stack/environment';
import { Session } from '../stack/session';
import { offsetFrom, Stack } from '../stack/stack';

/** Far from the ports of `npm start`, so that both can run at once. */
const TEST_OFFSET = 20_000;
/** From lane to lane: no two standard ports are 150, 300 or 450 apart. */
const LANE_OFFSET = 150;

export class Lane {
  private session: Session | undefined;

  private constructor(
    private readonly instance: string,
    private readonly stack: Stack,
  ) {}

  /** As many as `count`, but one where `given` names servers: of those there is one set. */
  static all(
    count: number,
    given: NodeJS.ProcessEnv,
    report: (line: string) => void,
  ): [Lane, ...Lane[]] {
    const instance = given['STACK_INSTANCE'] || 'test';
    const offset = offsetFrom(given, TEST_OFFSET);
    const first = new Lane(instance, new Stack({ instance, offset, given, report }));
    if (first.stack.own.length < SERVER_NAMES.length) return [first];
    const others = Array.from({ length: count - 1 }, (_, i) => {
      const options = {
        instance: `${instance}-${i + 2}`,
        offset: offset + (i + 1) * LANE_OFFSET,
        given: withoutStack(given),
        // They come up behind the first phase, whose report is not to be interrupted.
        report: () => undefined,
      };
      return new Lane(options.instance, new Stack(options));
    });
    return [first, ...others];
  }

  get layout(): Stack['layout'] {
    return this.stack.layout;
  }

  /** By which tests find its servers. */
  get environment(): NodeJS.ProcessEnv {
    return { STACK_INSTANCE: this.instance, ...this.stack.environment };
  }

  /** Makes it ours, and ends what a run that was killed has left on it. */
  async claim(): Promise<void> {
    this.session = await Session.begin(this.layout, 'npm test');
    const { inherited } = this.session;
    if (inherited) await this.stack.down(this.allBut(inherited));
    this.session.keep(await this.stack.running());
  }

  /** Fresh data each time, unless someone has the servers up already: then theirs, and they stay. */
  async up(): Promise<void> {
    for (const name of this.allBut(this.session?.kept() ?? [])) await this.stack.wipe(name);
    await this.stack.up();
  }

  /** Ends what was not up before. */
  async release(): Promise<void> {
    if (!this.session) return;
    this.session.stopping();
    await this.stack.down(this.allBut(this.session.kept()));
    this.session.end();
  }

  private allBut(names: readonly ServerName[]): readonly ServerName[] {
    return this.stack.own.filter((name) => !names.includes(name));
  }
}
