/** Registers the search attributes that the namespace does not have yet. */
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import type { Temporal } from './client';

/** For listing, and for adding, ms. */
const DEADLINE_MS = 10_000;

/** `temporal.api.enums.v1.IndexedValueType`. */
export const INDEXED_VALUE_TYPE = { KEYWORD: 2, INT: 3 } as const;

/** May be called by many processes at once. */
export async function registerSearchAttributes(client: Temporal, namespace: string): Promise<void> {
  await client.within(DEADLINE_MS, async () => {
    const { customAttributes } = await client.operator.listSearchAttributes({ namespace });
    const missing = Object.values(SEARCH_ATTRIBUTES).filter(
      ({ name }) => !(name in customAttributes),
    );
    if (missing.length === 0) return;
    await client.operator.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(
        missing.map(({ name, type }) => [name, INDEXED_VALUE_TYPE[type]]),
      ),
    });
  });
}
