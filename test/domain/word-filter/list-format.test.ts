import { parseWordList } from '../../../src/domain/word-filter/list-format';

describe('the text of a word list', () => {
  it('has a header, an empty line and a word a line', () => {
    const text =
      '\uFEFF# ours\r\naction: block\r\nwhole-word: yes\r\n\r\n# comment\r\n one \r\n\r\ntwo words\r\n';
    expect(parseWordList('ours', text)).toEqual({
      name: 'ours',
      action: 'block',
      wholeWord: true,
      ignoreSeparators: false,
      words: ['one', 'two words'],
    });
  });

  it.each([
    ['', 'action'],
    ['action: replace', 'empty line'],
    ['action: remove\n\nx', 'action'],
    ['action: audit\nwhole-word: maybe\n\nx', 'whole-word'],
    ['action: audit\naction: block\n\nx', 'line 2'],
    ['bad\nworse\n\nx', 'line 1'],
  ])('%j is refused, naming what is wrong', (text, named) => {
    expect(() => parseWordList('ours', text)).toThrow(named);
  });
});
