/** Rate limits of addresses; those of users are in `http.test.ts`, without Redis in `test/faults`. */
import { RestClient } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

const LIMIT = 15;

describe('the rate limit of an address', () => {
  let system: TestSystem;
  let rest: RestClient;

  beforeAll(async () => {
    system = await startSystem({
      IM_RATE_LIMIT_ADDRESS: String(LIMIT),
      IM_HTTP_TRUSTED_PROXIES: '1',
    });
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  });
  afterAll(() => system.close());

  const octet = () => Math.floor(Math.random() * 256);
  const anAddress = () => `10.${octet()}.${octet()}.${octet()}`;
  const aNetwork = () => `2001:db8:${octet().toString(16)}:${octet().toString(16)}`;
  const from = (forwarded: string) =>
    rest.send('GET', '/api/v1/offline', { 'x-forwarded-for': forwarded });

  test('holds before anything is looked at, and another address is not held', async () => {
    const [greedy, modest] = [anAddress(), anAddress()];
    const statuses = [];
    for (let i = 0; i <= LIMIT; i++) statuses.push((await from(greedy)).status);
    expect(statuses).toEqual([...new Array<number>(LIMIT).fill(401), 429]);
    const refused = await from(greedy);
    expect(refused.body.code).toBe('RATE_LIMITED');
    expect(refused.headers.get('ratelimit-policy')).toBe(`"address";q=${LIMIT};w=60`);
    expect(refused.headers.get('ratelimit')).toMatch(/^"address";r=0;t=\d+$/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await from(modest)).status).toBe(401);
  });

  test('counts a network of IPv6 as one address', async () => {
    const network = aNetwork();
    for (let i = 0; i < LIMIT; i++) await from(`${network}::${i}`);
    expect((await from(`${network}:1:2:3:4`)).status).toBe(429);
    expect((await from(`${aNetwork()}:ffff::1`)).status).toBe(401);
  });

  test('is not got round by what a client says of itself', async () => {
    // The proxy adds the last one; all before it come from the client.
    const real = anAddress();
    for (let i = 0; i < LIMIT; i++) await from(`${anAddress()}, ${real}`);
    expect((await from(`${anAddress()}, ${real}`)).status).toBe(429);

    const direct = await startSystem({ IM_RATE_LIMIT_ADDRESS: '1' });
    try {
      const client = new RestClient(`http://127.0.0.1:${direct.server.httpPort}`);
      const asked = () => client.send('GET', '/api/v1/offline', { 'x-forwarded-for': anAddress() });
      await asked();
      expect((await asked()).status).toBe(429);
    } finally {
      await direct.close();
    }
  });

  test('does not hold what the platform asks', async () => {
    const address = anAddress();
    for (let i = 0; i < LIMIT + 5; i++) {
      const { status } = await rest.send('GET', '/health', { 'x-forwarded-for': address });
      expect(status).toBe(200);
    }
  });
});
