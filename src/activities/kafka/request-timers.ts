/** kafkajs looks each millisecond, on every connection, whether requests wait that a broker put off. */

interface RequestQueue {
  readonly pending: readonly object[];
  scheduleCheckPendingRequests: () => void;
}

/** The prototypes that are mended. */
const mended = new WeakSet<object>();

/**
 * Makes kafkajs look only while requests wait, for all clients of the process. With none it reckons a
 * time-out from a moment long past: Node makes one millisecond of that, and 24 warns of it.
 */
export function useRequestTimersWhenNeeded(): void {
  // It has no setting for this, and no types inside.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  if (mended.has(prototype)) return;
  mended.add(prototype);
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) schedule.call(this);
  };
}
