/** Screening, over gRPC. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

describe('a message with a listed word', () => {
  let system: TestSystem;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'im-lists-'));
    writeFileSync(join(folder, 'mild.txt'), 'action: replace\n\nbad\n');
    writeFileSync(join(folder, 'vile.txt'), 'action: block\n\nworst\n');
    writeFileSync(join(folder, 'watched.txt'), 'action: audit\n\ncurious\n');
    system = await startSystem({ IM_WORD_LISTS_DIR: folder });
  });
  afterAll(async () => {
    await system.close();
    rmSync(folder, { recursive: true });
  });

  const receiver = async () => {
    const bob = unique('bob');
    await system.gateway.connect(bob, 'phone');
    return bob;
  };

  it('of action replace arrives with *** in its place', async () => {
    const bob = await receiver();
    await system.send(unique('alice'), bob, 'so ＢＡＤ 👍🏽');
    const [push] = await system.gateway.received(bob, 1);
    expect(push?.content).toBe('so *** 👍🏽');
  });

  it('of action block is refused and pushed to nobody', async () => {
    const bob = await receiver();
    const answer = await system.send(unique('alice'), bob, 'the w\u200Borst');
    expect(answer).toMatchObject({
      success: false,
      status: 'failed',
      code: 'ROUTING_FAILED',
      error_message: 'ROUTING_FAILED: content rejected',
    });
    expect(system.gateway.pushesOf(bob)).toEqual([]);
  });

  it('of action audit arrives as it is and is counted', async () => {
    const bob = await receiver();
    await system.send(unique('alice'), bob, 'curious');
    const [push] = await system.gateway.received(bob, 1);
    expect(push?.content).toBe('curious');
    const metrics = await (await system.http('/metrics')).text();
    expect(metrics).toContain('im_service_screened_total{action="audit"} 1');
  });
});
