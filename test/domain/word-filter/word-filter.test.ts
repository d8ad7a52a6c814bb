import fc from 'fast-check';
import { REPLACEMENT, WordListError } from '../../../src/domain/word-filter/word-list';
import { filter, folder, list } from './support';

const replace = (words: string[], text: string, given = {}) =>
  filter(list(words, given)).screen(text).content;

describe('a listed word is replaced however it is written', () => {
  test.each([
    ['in capitals', 'a BAD word', 'a *** word'],
    ['full width', 'a ｂａｄ word', 'a *** word'],
    ['mathematical letters', 'a 𝐛𝖆𝓭 word', 'a *** word'],
    ['circled', 'a ⓑⓐⓓ word', 'a *** word'],
    ['with zero-width spaces', 'a b\u200Ba\u200Bd word', 'a *** word'],
    ['with soft hyphens', 'a b\u00ADa\u00ADd word', 'a *** word'],
    ['with joiners and selectors', 'a b\u200Da\uFE0Fd word', 'a *** word'],
    ['struck through', 'a b\u0336a\u0336d\u0336 word', 'a *** word'],
    ['with spacing marks of another script', 'a b\u093Ea\u0903d word', 'a *** word'],
    ['twice', 'badbad', '***'],
  ])('%s', (_, text, expected) => {
    expect(replace(['bad'], text)).toBe(expected);
  });

  test.each([
    ['STRASSE', 'straße'],
    ['straße', 'STRASSE'],
    ['ὈΔΥΣΣΕΎΣ', 'ὀδυσσεύς'],
    ['ガギ', 'ｶﾞｷﾞ'],
    ['ガギ', 'カ\u3099キ\u3099'],
    ['하그', 'ㅎㅏㄱㅡ'],
    ['한글', '\u1112\u1161\u11AB\u1100\u1173\u11AF'],
    ['café', 'cafe\u0301'],
    ['敏感词', '敏\u200B感\u200B词'],
    ['кот', 'КО́Т'],
  ])('%s as %s', (word, text) => {
    expect(replace([word], `(${text})`)).toBe('(***)');
  });
});

describe('what is not listed stays as it is', () => {
  test.each([
    ['an accent that makes another letter', ['cafe'], 'café'],
    ['a vowel sign of Devanagari', ['क'.concat('ि')], 'का'],
    ['an emoji family and a flag', ['bad'], '👨‍👩‍👧 🇳🇱 👍🏽 1️⃣'],
    ['half of a syllable', ['가'], '각'],
  ])('%s', (_, words, text) => {
    expect(replace(words, text)).toBe(text);
  });

  it('replaces whole code points, and what stands around them survives', () => {
    expect(replace(['bad'], '👨‍👩‍👧bad👍🏽e\u0301')).toBe('👨‍👩‍👧***👍🏽e\u0301');
    expect(replace(['😀'], 'a😀😁')).toBe('a***😁');
  });
});

describe('the options of a list', () => {
  it('whole-word leaves words that only contain it, soft hyphen or not', () => {
    const whole = { wholeWord: true };
    expect(replace(['ass'], 'ass, assassin, "ASS"', whole)).toBe('***, assassin, "***"');
    expect(replace(['ass'], 'ass\u00ADassin', whole)).toBe('ass\u00ADassin');
    expect(replace(['école'], "l'école préécole", whole)).toBe("l'*** préécole");
  });

  it('ignore-separators finds words that were spaced out', () => {
    const squeezed = { ignoreSeparators: true };
    expect(replace(['bad'], 'so b.a d!', squeezed)).toBe('so ***!');
    expect(replace(['敏感词'], '敏-感 词', squeezed)).toBe('***');
    expect(replace(['bad'], 'so b.a d!')).toBe('so b.a d!');
  });

  it('block refuses and names the list; audit lets pass and names the list', () => {
    const both = filter(
      list(['worse'], { name: 'refused', action: 'block' }),
      list(['bad'], { name: 'noted', action: 'audit' }),
    );
    expect(both.screen('BAD')).toMatchObject({ content: 'BAD', auditedBy: ['noted'] });
    expect(both.screen('WORSE')).toMatchObject({ blockedBy: 'refused' });
    expect(both.screen('good')).toMatchObject({ blockedBy: undefined, auditedBy: [] });
  });

  it.each([['*'], ['a＊b'], ['\u200B'], ['x'.repeat(300)]])('a list with %j is refused', (word) => {
    expect(() => list([word])).toThrow(WordListError);
  });
});

describe('for any text and any list', () => {
  // Few letters, so that words occur, overlap and are part of each other; and what makes Unicode hard.
  const letter = fc.constantFrom(
    ...['a', 'b', 'B', 'ß', 'ſ', 's', 'ｂ', 'é', 'e', '\u0301', '\u0336', '\u200B', '\u00AD', 'İ'],
    ...[
      'ı',
      '가',
      'ᆨ',
      'ᄀ',
      'ｶ',
      'ﾞ',
      '👍',
      '🏽',
      '\uFE0F',
      '\u200D',
      ' ',
      '.',
      '*',
      'ﷺ',
      'σ',
      'ς',
    ],
    ...['क', 'ि', '\u0903', '\uD83D', '𝐛', 'ﬁ', '\u0345', '\r', '\n', '１', '\u3099'],
  );
  const text = fc.oneof(
    fc.array(letter, { maxLength: 40 }).map((letters) => letters.join('')),
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
  );
  const word = fc
    .array(letter, { minLength: 1, maxLength: 4 })
    .map((letters) => letters.join(''))
    .filter((w) => {
      const folded = folder.foldToString(w);
      return /[^\p{Z}\p{P}\p{S}\p{Cc}]/u.test(folded) && !folded.includes('*');
    });
  const words = fc.array(word, { minLength: 1, maxLength: 6 });
  const options = fc.record({ wholeWord: fc.boolean(), ignoreSeparators: fc.boolean() });
  const runs = { numRuns: 3_000 };

  it('replacing leaves no listed word', () => {
    fc.assert(
      fc.property(words, text, (listed, original) => {
        const left = folder.foldToString(replace(listed, original));
        for (const w of listed) expect(left.includes(folder.foldToString(w))).toBe(false);
      }),
      runs,
    );
  });

  it('a text without a listed word is not changed by one bit', () => {
    fc.assert(
      fc.property(words, text, (listed, original) => {
        const folded = folder.foldToString(original);
        fc.pre(!listed.some((w) => folded.includes(folder.foldToString(w))));
        expect(replace(listed, original)).toBe(original);
      }),
      runs,
    );
  });

  it('replacing twice is replacing once, with any options', () => {
    fc.assert(
      fc.property(words, text, options, (listed, original, given) => {
        const tested = filter(list(listed, given), list(['b', 'ab'], { wholeWord: true }));
        const once = tested.screen(original).content;
        expect(tested.screen(once)).toMatchObject({ content: once, replaced: false });
      }),
      runs,
    );
  });

  it('what is not replaced is kept, in its order', () => {
    fc.assert(
      fc.property(words, text, (listed, original) => {
        fc.pre(!original.includes('*'));
        const pieces = replace(listed, original).split(REPLACEMENT);
        let at = 0;
        for (const piece of pieces) {
          const found = original.indexOf(piece, at);
          expect(found).toBeGreaterThanOrEqual(at);
          at = found + piece.length;
        }
      }),
      runs,
    );
  });

  it('a word is found whatever stands around it, as the plain search finds it', () => {
    fc.assert(
      fc.property(words, text, (listed, original) => {
        const folded = folder.foldToString(original);
        const contained = listed.some((w) => folded.includes(folder.foldToString(w)));
        expect(filter(list(listed)).screen(original).replaced).toBe(contained);
      }),
      runs,
    );
  });

  it('a mark that folding makes a letter of has its own marks', () => {
    const folded = folder.foldToString('\uFDFA\u0345\u093F');
    expect(folder.foldToString(folded)).toBe(folded);
  });

  it('folding a folded text changes nothing', () => {
    fc.assert(
      fc.property(text, (original) => {
        const folded = folder.foldToString(original);
        expect(folder.foldToString(folded)).toBe(folded);
      }),
      runs,
    );
  });
});
