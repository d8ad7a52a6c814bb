/** Who is connected to this gateway: one connection for each device of each user. */
import type { Connection } from './connection';

export class Connections {
  private readonly byUser = new Map<string, Map<string, Connection>>();

  get size(): number {
    let size = 0;
    for (const devices of this.byUser.values()) size += devices.size;
    return size;
  }

  /** Adds a connection and returns the one of the same device that it takes the place of. */
  add(connection: Connection): Connection | undefined {
    const devices = this.byUser.get(connection.userId) ?? new Map<string, Connection>();
    const former = devices.get(connection.deviceId);
    devices.set(connection.deviceId, connection);
    this.byUser.set(connection.userId, devices);
    return former;
  }

  /** Removes this very connection; a newer one of the same device stays. */
  remove(connection: Connection): void {
    const devices = this.byUser.get(connection.userId);
    if (devices?.get(connection.deviceId) !== connection) return;
    devices.delete(connection.deviceId);
    if (devices.size === 0) this.byUser.delete(connection.userId);
  }

  get(userId: string, deviceId: string): Connection | undefined {
    return this.byUser.get(userId)?.get(deviceId);
  }

  devicesOf(userId: string): Connection[] {
    return [...(this.byUser.get(userId)?.values() ?? [])];
  }

  users(): IterableIterator<string> {
    return this.byUser.keys();
  }

  all(): Connection[] {
    return [...this.byUser.values()].flatMap((devices) => [...devices.values()]);
  }
}
