import { BisectingWriter } from '../../src/consumers/bisecting-writer';

const dataError = () => Object.assign(new Error('Data too long'), { code: 'ER_DATA_TOO_LONG' });

describe('writing a batch with records the database never takes', () => {
  it('refuses exactly those, stores the others, in order', async () => {
    const stored: number[] = [];
    const writer = new BisectingWriter<number>((entries) => {
      if (entries.some((n) => n % 100 === 7)) return Promise.reject(dataError());
      stored.push(...entries);
      return Promise.resolve(new Set(entries.filter((n) => n === 50)));
    });
    const refusals = await writer.add(Array.from({ length: 300 }, (_, i) => i));
    const refused = refusals.flatMap((reason, i) => (reason === undefined ? [] : [[i, reason]]));
    expect(refused).toEqual([
      [7, 'MySQL does not take it: ER_DATA_TOO_LONG'],
      [50, 'msg_id belongs to another message'],
      [107, 'MySQL does not take it: ER_DATA_TOO_LONG'],
      [207, 'MySQL does not take it: ER_DATA_TOO_LONG'],
    ]);
    expect(stored).toEqual([...stored].sort((a, b) => a - b));
    expect(stored).toHaveLength(297);
  });

  it('blames no record when the database is away', async () => {
    const writer = new BisectingWriter<number>(() => Promise.reject(new Error('ECONNREFUSED')));
    await expect(writer.add([1, 2, 3])).rejects.toThrow('ECONNREFUSED');
  });
});
