import { KeyLostError } from '../../../src/activities/encryption/key-provider';
import { LocalKeys, MasterKeyError } from '../../../src/activities/encryption/local-keys';

const [one, two] = [LocalKeys.generate('one'), LocalKeys.generate('two')];
const dataKey = Buffer.alloc(32, 7);

describe('local master keys', () => {
  it('wrap by the first, and unwrap by any', async () => {
    const older = await LocalKeys.parse(one).wrap(dataKey, 'alice');
    expect(older.masterKeyId).toBe('one');
    const both = LocalKeys.parse(`${two}\n${one}\n`);
    expect(await both.unwrap(older, 'alice')).toEqual(dataKey);
    expect((await both.wrap(dataKey, 'alice')).masterKeyId).toBe('two');
  });

  it('do not unwrap for another owner, what was changed, or what a key that is gone has wrapped', async () => {
    const keys = LocalKeys.parse(one);
    const wrapped = await keys.wrap(dataKey, 'alice');
    await expect(keys.unwrap(wrapped, 'bob')).rejects.toThrow(KeyLostError);
    await expect(LocalKeys.parse(two).unwrap(wrapped, 'alice')).rejects.toThrow(KeyLostError);
    for (let i = 0; i < wrapped.wrapped.length; i++) {
      const changed = Buffer.from(wrapped.wrapped);
      changed[i]! ^= 1;
      const tampered = keys.unwrap({ ...wrapped, wrapped: changed }, 'alice');
      await expect(tampered).rejects.toThrow(KeyLostError);
    }
    const short = keys.unwrap({ ...wrapped, wrapped: Buffer.alloc(3) }, 'alice');
    await expect(short).rejects.toThrow(KeyLostError);
  });

  test.each([
    ['', 'no master key'],
    ['one', 'master key 1'],
    [`${one},two:c2hvcnQ=`, 'master key 2'],
    [`${one},${one}`, 'two master keys'],
  ])('%j is refused without showing a key', (text, named) => {
    expect(() => LocalKeys.parse(text)).toThrow(MasterKeyError);
    expect(() => LocalKeys.parse(text)).toThrow(named);
    expect(() => LocalKeys.parse(text)).not.toThrow(one.split(':')[1]);
  });
});
