/** Readings of the registry that answer for many users at once. */
import type { Etcd3, IKeyValue } from 'etcd3';
import type { Device } from '../../domain/message';
import { parseDevice, parseKey, userPrefix } from './registry';

/** Devices by id, at one revision of etcd. */
export interface UsersReading {
  /** One for each user, in the order asked. */
  readonly devices: readonly Map<string, Device>[];
  readonly revision: bigint;
}

/** The devices among entries of the registry, by device id. */
export function devicesOf(entries: readonly Pick<IKeyValue, 'key' | 'value'>[]): Map<string, Device> {
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

/** The first key after all that begin with `prefix`, which ends in `/`. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}
