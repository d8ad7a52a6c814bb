import { createServer, type AddressInfo, type Server } from 'node:net';

import { holderOf, requireFree } from '../../dev/stack/ports';

describe('a port that is taken', () => {
  let server: Server;
  let port: number;

  beforeAll(async () => {
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });

  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
  });

  test('is said plainly: which, for what, and the way out', async () => {
    await expect(requireFree([{ port, what: 'Redis' }])).rejects.toThrow(
      new RegExp(`^Port ${port} \\(Redis\\) is taken.*\\n.*PORT_OFFSET`),
    );
  });

  test('is named with all the others that are taken, in one message', async () => {
    const uses = [
      { port, what: 'gRPC' },
      { port, what: 'REST' },
    ];
    await expect(requireFree(uses)).rejects.toThrow(/gRPC[^]*REST/);
  });

  test('that is free is no trouble', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const free = (other.address() as AddressInfo).port;
    await new Promise((resolve) => other.close(resolve));
    await expect(requireFree([{ port: free, what: 'etcd' }])).resolves.toBeUndefined();
  });

  const onLinux = process.platform === 'linux' ? test : test.skip;
  onLinux('is traced to the process that holds it', () => {
    expect(holderOf(port)).toMatch(new RegExp(`\\(pid ${process.pid}\\)$`));
  });
});
