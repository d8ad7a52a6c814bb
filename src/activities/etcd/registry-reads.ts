/** Readings of the registry that answer for many users at once. */
import type { Etcd3, IKeyValue } from 'etcd3';
import type { Device } from '../../domain/message';
import { parseDevice, parseKey, REGISTRY_PREFIX, userPrefix } from './registry';

/** Devices by id, at one revision of etcd. */
export interface UsersReading {
  /** One for each user, in the order asked. */
  readonly devices: readonly Map<string, Device>[];
  readonly revision: bigint;
}

/** The devices among entries of the registry, by device id. */
export function devicesOf(
  entries: readonly Pick<IKeyValue, 'key' | 'value'>[],
): Map<string, Device> {
  const devices = new Map<string, Device>();
  for (const { key, value } of entries) {
    const deviceId = parseKey(key.toString())?.deviceId;
    const device = deviceId && parseDevice(deviceId, value.toString());
    if (device) devices.set(device.deviceId, device);
  }
  return devices;
}

/** The devices of up to 128 users (etcd's limit) in one call, which ends at `deadline` (unix ms). */
export async function readUsers(
  etcd: Etcd3,
  userIds: readonly string[],
  deadline: number,
): Promise<UsersReading> {
  const success = userIds.map((userId) => {
    const prefix = userPrefix(userId);
    return { request_range: { key: Buffer.from(prefix), range_end: endOf(prefix) } };
  });
  const { header, responses } = await etcd.kv.txn(
    { compare: [], success, failure: [] },
    { deadline },
  );
  return {
    devices: responses.map(({ response_range }) => devicesOf(response_range.kvs)),
    revision: BigInt(header.revision),
  };
}

/** Devices of a page of user ids. */
const PAGE_DEVICES = 1_000;

export interface UserIdsPage {
  readonly userIds: readonly string[];
  /** Where the next page begins; `undefined` after the last one. */
  readonly next: string | undefined;
}

/** Users in the registry, a page of them, in the order of their ids after `afterUserId`. */
export async function readUserIds(
  etcd: Etcd3,
  afterUserId: string,
  deadline: number,
): Promise<UserIdsPage> {
  const { kvs } = await etcd.kv.range(
    {
      key: afterUserId === '' ? Buffer.from(REGISTRY_PREFIX) : endOf(userPrefix(afterUserId)),
      range_end: endOf(REGISTRY_PREFIX),
      limit: PAGE_DEVICES,
      keys_only: true,
    },
    { deadline },
  );
  const userIds = new Set<string>();
  for (const { key } of kvs) {
    const place = parseKey(key.toString());
    if (place) userIds.add(place.userId);
  }
  const found = [...userIds];
  return { userIds: found, next: kvs.length < PAGE_DEVICES ? undefined : found.at(-1) };
}

/** The first key after all that begin with `prefix`, which ends in `/`. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}
