/**
 * Presence in the registry: `/registry/users/{user}/{device}` -> `{host:port}|{connected_at, unix seconds}`.
 *
 * Each registration has a lease of its own, which etcd3 renews each third of its time. Revoking a lease takes
 * away its key only if the key still hangs on it, so a device that has come back meanwhile stays registered.
 * A lease that is lost is over: another is granted and the key is put again.
 */
import type { Etcd3, Lease } from 'etcd3';
import type { Logger } from 'pino';
import { Backoff, aborted, pause, within } from '../common/wait';

const PREFIX = '/registry/users/';
/** Longer than the client's own deadline for a call, which is what normally ends it. */
const CALL_LIMIT_MS = 5_000;

export interface Device {
  userId: string;
  deviceId: string;
  /** Unix ms. */
  connectedAt: number;
}

interface Entry {
  key: string;
  value: string;
}

export interface Registration {
  /** Resolves when the device can be seen in the registry for the first time (or was released before). */
  readonly registered: Promise<void>;
  /** Takes the device out of the registry. */
  release(): Promise<void>;
}

export class Presence {
  constructor(
    private readonly etcd: Etcd3,
    private readonly address: () => string,
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {}

  /**
   * Registers a device and keeps it registered, through losses and outages, until it is released; or until
   * it turns out that the device has registered at another gateway, which is what `onMoved` says.
   */
  register(device: Device, onMoved: () => void): Registration {
    const released = new AbortController();
    const key = `${PREFIX}${device.userId}/${device.deviceId}`;
    const value = `${this.address()}|${Math.floor(device.connectedAt / 1000)}`;
    let announce = (): void => undefined;
    const registered = new Promise<void>((resolve) => (announce = resolve));
    const held = this.hold({ key, value }, released.signal, announce, onMoved).finally(announce);
    return {
      registered,
      release: () => {
        released.abort();
        return held;
      },
    };
  }

  private async hold(
    entry: Entry,
    released: AbortSignal,
    onRegistered: () => void,
    onMoved: () => void,
  ): Promise<void> {
    const { key } = entry;
    const backoff = new Backoff(200, 2_000);
    let before = false;
    let moved = false;
    while (!released.aborted && !moved) {
      const lease = this.etcd.lease(this.leaseSeconds, { deadline: Date.now() + CALL_LIMIT_MS });
      const over = lostOrReleased(lease, released);
      try {
        moved = before && !(await this.putAgain(entry, lease));
        if (!before) await put(entry, lease);
        before = true;
        backoff.reset();
        onRegistered();
        if (!moved) await over;
        if (lease.revoked() && !released.aborted) this.log.warn({ key }, 'lease lost');
      } catch (error) {
        this.log.warn({ key, reason: String(error) }, 'could not register; trying again');
        await pause(backoff.next(), released);
      }
      await this.revoke(lease, key);
    }
    if (moved) {
      this.log.info({ key }, 'the device has registered elsewhere meanwhile');
      onMoved();
    }
  }

  /** Puts the key back unless another gateway has written it: the device is there now, not here. */
  private async putAgain({ key, value }: Entry, lease: Lease): Promise<boolean> {
    const read = await this.etcd.get(key).exec();
    const found = read.kvs[0];
    if (found !== undefined && found.value.toString() !== value) return false;
    const answer = await this.etcd
      .if(key, 'Mod', '==', found?.mod_revision ?? 0)
      .then(this.etcd.put(key).value(value).lease(lease.grant()))
      .commit();
    if (!answer.succeeded) throw new Error('the key changed while it was put again');
    return true;
  }

  /** A lease that cannot be revoked now ends by itself: nobody renews it any more. */
  private async revoke(lease: Lease, key: string): Promise<void> {
    try {
      await within(CALL_LIMIT_MS, 'revoking a lease', lease.revoke());
    } catch (error) {
      this.log.warn({ key, reason: String(error) }, 'could not revoke; the lease will expire');
    }
  }
}

async function put({ key, value }: Entry, lease: Lease): Promise<void> {
  await within(CALL_LIMIT_MS, 'putting the registry key', lease.put(key).value(value).exec());
}

async function lostOrReleased(lease: Lease, released: AbortSignal): Promise<void> {
  const lost = new Promise<void>((resolve) => lease.on('lost', () => resolve()));
  await Promise.race([lost, aborted(released)]);
}
