/**
 * Turns: those who enter under one key pass one after another, in the order they entered.
 *
 * Pushes of one conversation take turns, so that they leave this process in sequence order although
 * the steps before them (encryption, a presence lookup) may overtake each other.
 */
export interface Turn {
  /** Resolves when all who entered before have left; `undefined` when nobody was there. */
  readonly mine: Promise<void> | undefined;
  /** Lets the next one pass; may be called more than once. */
  leave(): void;
}

export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  enter(key: string): Turn {
    const mine = this.last.get(key);
    let release: () => void = () => undefined;
    const left = new Promise<void>((resolve) => (release = resolve));
    this.last.set(key, left);
    return {
      mine,
      leave: () => {
        if (this.last.get(key) === left) this.last.delete(key);
        release();
      },
    };
  }
}
