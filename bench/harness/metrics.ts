/** The metrics of a process of the product. */

/** Values by series (`name{label="value"}`), and sums over all labels by name. */
export async function scrape(httpPort: number): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`, {
    signal: AbortSignal.timeout(8_000),
  });
  const sums = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    const [, name, labels, value] = /^(\w+)(\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    sums.set(name, (sums.get(name) ?? 0) + Number(value));
    if (labels !== undefined) sums.set(name + labels, Number(value));
  }
  return sums;
}
