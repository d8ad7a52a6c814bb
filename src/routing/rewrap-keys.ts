/** One page of a master key's rotation: data keys that older master keys wrap are wrapped anew. */
import { KeyLostError } from '../activities/encryption/key-provider';
import type { KeyProvider, WrappedKey } from '../activities/encryption/key-provider';
import { contextOf } from '../activities/encryption/user-keys';
import type { UserKeyRow, UserKeyRows } from '../activities/mysql/user-key-rows';
import type { RewrapPage } from '../domain/key-rotation';

/** Keys of a page; each is a write of its own, so that a crash repeats nothing. */
const PAGE_SIZE = 200;

export interface RewrapDeps {
  readonly rows: Pick<UserKeyRows, 'notWrappedBy' | 'rewrap'>;
  readonly provider: KeyProvider;
}

/** May be repeated: what is wrapped by the current key already is not read again. */
export async function rewrapPage(
  { rows, provider }: RewrapDeps,
  after: string,
): Promise<RewrapPage> {
  const page = await rows.notWrappedBy(provider.currentKeyId, after, PAGE_SIZE);
  let [rewrapped, left] = [0, 0];
  for (const row of page) {
    const wrapped = await wrapAnew(provider, row);
    if (!wrapped) left += 1;
    else if (await rows.rewrap(row, wrapped)) rewrapped += 1;
  }
  return { rewrapped, left, next: page.length < PAGE_SIZE ? undefined : page.at(-1)?.keyId };
}

async function wrapAnew(provider: KeyProvider, row: UserKeyRow): Promise<WrappedKey | undefined> {
  const context = contextOf(row.userId, row.keyId);
  try {
    const dataKey = await provider.unwrap(row, context);
    return await provider.wrap(dataKey, context);
  } catch (error) {
    if (error instanceof KeyLostError) return undefined;
    throw error;
  }
}
