/** Where the stack keeps its files: packages are shared, everything else belongs to an instance. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { projectRoot } from '../../src/paths';
import { StackError } from './errors';

export class Layout {
  readonly root = projectRoot();
  readonly home = join(this.root, '.stack');
  /** Downloads and unpacked programs, the same for every instance. */
  readonly packages = join(this.home, 'pkg');
  readonly dir: string;
  readonly logs: string;
  readonly run: string;

  constructor(readonly instance: string) {
    if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(instance) || instance === 'pkg') {
      throw new StackError(
        `STACK_INSTANCE is "${instance}"; allowed: 1 to 31 of a-z, 0-9 and "-", not "pkg".`,
      );
    }
    this.dir = join(this.home, instance);
    this.logs = join(this.dir, 'logs');
    this.run = join(this.dir, 'run');
    for (const dir of [this.packages, this.logs, this.run]) mkdirSync(dir, { recursive: true });
  }

  data(name: string): string {
    return join(this.dir, name);
  }

  log(name: string): string {
    return join(this.logs, `${name}.log`);
  }

  pidfile(name: string): string {
    return join(this.run, `${name}.json`);
  }
}
