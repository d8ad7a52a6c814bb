/** Turns: those who enter under one key pass one after another, in the order they entered. */
import { PlainMap } from './plain-map';

export class Turn {
  /** Resolves when all who entered before have left; `undefined` when nobody was there. */
  readonly mine: Promise<void> | undefined;
  private isMine = true;
  private hasLeft = false;
  private next: Turn | undefined;
  private begin: () => void = () => undefined;

  constructor(
    private readonly last: PlainMap<string, Turn>,
    private readonly key: string,
  ) {
    const before = last.get(key);
    last.set(key, this);
    if (!before) return;
    this.isMine = false;
    this.mine = new Promise((resolve) => (this.begin = resolve));
    before.next = this;
  }

  /** Lets the next one pass; may be called more than once, and before it is one's turn. */
  leave(): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    if (this.isMine) this.pass();
  }

  private pass(): void {
    const { next } = this;
    if (!next) {
      this.last.delete(this.key);
      return;
    }
    next.isMine = true;
    next.begin();
    if (next.hasLeft) next.pass();
  }
}

export class Turns {
  private readonly last = new PlainMap<string, Turn>();

  enter(key: string): Turn {
    return new Turn(this.last, key);
  }
}
