/** The form of the presence registry (contracts.md): its keys and values. */
import type { Device } from '../../domain/message';

/** Every key of the registry begins so: `/registry/users/{user_id}/{device_id}`. */
export const REGISTRY_PREFIX = '/registry/users/';

/** The prefix of one user's devices. */
export function userPrefix(userId: string): string {
  return `${REGISTRY_PREFIX}${userId}/`;
}

/** User and device of a key, or `undefined` for a key of another form. */
export function parseKey(key: string): { userId: string; deviceId: string } | undefined {
  if (!key.startsWith(REGISTRY_PREFIX)) return undefined;
  const slash = key.indexOf('/', REGISTRY_PREFIX.length);
  if (slash < 0 || slash === key.length - 1) return undefined;
  return { userId: key.slice(REGISTRY_PREFIX.length, slash), deviceId: key.slice(slash + 1) };
}

/** `{host:port}|{connected_at, unix seconds}`; a value without a time counts, one without an address does not. */
export function parseDevice(deviceId: string, value: string): Device | undefined {
  const [gateway = '', connectedAt = '0'] = value.split('|');
  if (!/^.+:\d+$/.test(gateway)) return undefined;
  return { deviceId, gateway, connectedAt: Number(connectedAt) || 0 };
}
