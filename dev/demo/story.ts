/** Tells the demo's story: each step with a deadline, its outcome, and how long it took. */
import { within } from '../common/wait';

/** Something did not happen as told; the hint says what to do about it. */
export class StoryFailure extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

interface Output {
  write(text: string): void;
  isTTY?: boolean;
}

const codes = { bold: '1', dim: '2', green: '32', red: '31', cyan: '36' } as const;

export class Story {
  private readonly startedAt = performance.now();

  constructor(private readonly out: Output) {}

  chapter(title: string): void {
    this.out.write(`\n${this.paint('bold', title)}\n`);
  }

  link(label: string, url: string): void {
    this.out.write(`    ${this.paint('dim', label)} ${this.paint('cyan', url)}\n`);
  }

  /** Does one step; what it returns becomes the told outcome, what it throws ends the story. */
  async step<T>(
    limitMs: number,
    what: string,
    act: () => Promise<T>,
    tell: (result: T) => string = () => '',
  ): Promise<T> {
    const started = performance.now();
    try {
      const result = await within(limitMs, 'this', act());
      const took = Math.round(performance.now() - started);
      const told = tell(result);
      const outcome = told === '' ? '' : ` -> ${this.paint('bold', told)}`;
      this.out.write(
        `  ${this.paint('green', '✓')} ${what}${outcome} ${this.paint('dim', `(${took} ms)`)}\n`,
      );
      return result;
    } catch (error) {
      this.out.write(`  ${this.paint('red', '✗')} ${what}\n`);
      throw error;
    }
  }

  end(): void {
    const seconds = ((performance.now() - this.startedAt) / 1000).toFixed(1);
    this.out.write(`\n${this.paint('green', 'Everything happened as told')}, in ${seconds} s.\n`);
  }

  failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.out.write(`    ${this.paint('red', message)}\n`);
    if (error instanceof StoryFailure && error.hint) this.out.write(`    ${error.hint}\n`);
  }

  private paint(color: keyof typeof codes, text: string): string {
    const plain = !this.out.isTTY || process.env.NO_COLOR;
    return plain ? text : `\u001b[${codes[color]}m${text}\u001b[0m`;
  }
}

/** Ends the story unless the claim holds. */
export function claim(holds: boolean, otherwise: string, hint?: string): asserts holds {
  if (!holds) throw new StoryFailure(otherwise, hint);
}
