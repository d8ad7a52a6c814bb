/** Makes sure that everything the servers need is on this machine. */
import { join } from 'node:path';

import type { Layout } from '../layout';
import type { NativeServer, Report } from '../servers/server';
import { installPackages } from './debian';
import { exclusively } from './once';
import { TemporalPrograms } from './temporal';

/**
 * All Debian packages are installed in one go; servers that need none of them fetch what they lack
 * meanwhile, the others after it.
 */
export async function provision(
  layout: Layout,
  servers: readonly NativeServer[],
  report: Report,
): Promise<void> {
  await exclusively(join(layout.packages, 'lock.json'), async () => {
    const missing = await Promise.all(servers.map((server) => server.missingPackages()));
    const packages = [...new Set(missing.flat())];
    if (packages.length > 0) report(`installing ${packages.join(', ')} (apt-get)`);
    const installed = packages.length > 0 ? installPackages(packages) : Promise.resolve();
    const fetched = servers.map(async (server, index) => {
      if (missing[index]?.length) await installed;
      await server.fetch(report);
    });
    await settleAll([installed, ...fetched]);
  });
}

/** The Temporal CLI and the test server that skips time, for tests. */
export async function temporalPrograms(
  layout: Layout,
  report: Report,
): Promise<{ cli: string; testServer: string | undefined }> {
  const programs = new TemporalPrograms(layout);
  await exclusively(join(layout.packages, 'lock.json'), async () => {
    const packages = await programs.missingPackages('with test server');
    if (packages.length > 0) await installPackages(packages);
    await programs.fetchCli(report);
    await programs.fetchTestServer(report);
  });
  return { cli: await programs.cli(), testServer: programs.testServer() };
}

/** Waits for all, then throws the first failure: nothing goes on behind an error. */
export async function settleAll(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
