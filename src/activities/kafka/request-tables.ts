/** kafkajs keeps the requests that have no answer yet in a `Map`; see plain-map.ts for what that costs. */
import { PlainMap } from '../plain-map';

/** Makes kafkajs keep them in a {@link PlainMap}, for all clients of the process that are made from now on. */
export function usePlainRequestTables(): void {
  // It has no setting for this, and no types inside.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: object };
  if (Object.hasOwn(prototype, 'inflight')) return;
  // Its constructor assigns a new Map: that comes here.
  Object.defineProperty(prototype, 'inflight', {
    set(this: object) {
      Object.defineProperty(this, 'inflight', { value: new PlainMap<number, object>() });
    },
  });
}
