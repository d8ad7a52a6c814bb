/**
 * Folding: what looks the same to a reader becomes the same text, with a map back to the original.
 *
 * Folded are compatibility forms and width (NFKC), case (full case folding), what has no width
 * (joiners, soft hyphens, variation selectors, controls), and marks laid over letters that have no
 * such marks of their own ("b̶a̶d̶"). Accents that make a letter of their own ("é") and the vowel signs of
 * Indic, Thai, Arabic or Hebrew script stay.
 *
 * Works on segments, a base with what composes with it: normalization never crosses their borders
 * (UAX #15, section 9), so each unit of the result stands for one segment of the original.
 */

/** A folded text: `units[i]` came from the UTF-16 range `starts[i]` to `ends[i]` of the original. */
export interface FoldedText {
  readonly units: Uint16Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly length: number;
}

/** What a code point does; 0: not looked at yet. */
const IGNORED = 1;
const EXTENDS = 2;
const STANDS = 3;
const CHANGES = 4;

const CODE_POINTS = 0x11_0000;
/** UAX #15, Stream-Safe Text Format: real text has at most 30 marks in a row, hostile text any number. */
const MAX_EXTENDERS = 30;
/** Folding a segment settles after two rounds at most, as tried on all code points. */
const MAX_ROUNDS = 4;

// Controls that are white space separate words; the others are invisible.
const INVISIBLE = /^(?![\t-\r\u0085])[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}]$/u;
// Marks, and the Hangul vowels and finals that compose with the syllable before them.
const COMPOSES_BACKWARDS = /^[\p{M}\u1160-\u11FF]/u;
// Scripts whose letters carry no marks but those that NFKC composes into them.
const WITHOUT_OWN_MARKS =
  /^[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Common}]/u;
const LETTER_WITH_MARKS = /(\P{M}?)(\p{M}+)/gu;
const MARKS_OF_ANY_SCRIPT = /(?=\p{M})\p{Script=Inherited}/gu;

/** Folds texts; remembers what each code point does, so one is kept and used for all texts. */
export class Folder {
  private readonly kinds = new Uint8Array(CODE_POINTS);
  /** Folded forms of single code points of the BMP; the others are rare, and folded each time. */
  private readonly forms = new Map<number, string>();

  fold(text: string): FoldedText {
    const out = new Output(text.length);
    let at = 0;
    while (at < text.length) {
      const code = text.codePointAt(at) as number;
      const size = sizeOf(code);
      const kind = this.kindOf(code);
      if (kind === IGNORED) {
        at += size;
        continue;
      }
      const end = this.segmentEnd(text, at + size);
      if (end > at + size) out.push(this.foldSegment(text.slice(at, end)), at, end);
      else if (kind === STANDS && size === 1) out.pushUnit(code, at, end);
      else out.push(this.formOf(code), at, end);
      at = end;
    }
    return out.done();
  }

  /** The folded form as a string. */
  foldToString(text: string): string {
    const { units, length } = this.fold(text);
    let folded = '';
    for (let i = 0; i < length; i++) folded += String.fromCharCode(units[i] as number);
    return folded;
  }

  /** Whether folding leaves nothing of the code point. */
  ignores(code: number): boolean {
    return this.kindOf(code) === IGNORED;
  }

  /** The end of what composes with a base that ends at `from`. */
  private segmentEnd(text: string, from: number): number {
    let end = from;
    let at = from;
    let extenders = 0;
    while (at < text.length && extenders < MAX_EXTENDERS) {
      const code = text.codePointAt(at) as number;
      const kind = this.kindOf(code);
      at += sizeOf(code);
      if (kind === EXTENDS) {
        end = at;
        extenders += 1;
      } else if (kind !== IGNORED) break;
    }
    return end;
  }

  private formOf(code: number): string {
    const known = this.forms.get(code);
    if (known !== undefined) return known;
    const form = this.foldSegment(String.fromCodePoint(code));
    if (code <= 0xffff) this.forms.set(code, form);
    return form;
  }

  private foldSegment(segment: string): string {
    let folded = this.withoutIgnored(segment);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const next = withoutStrayMarks(foldCase(folded.normalize('NFKC')).normalize('NFKC'));
      if (next === folded) break;
      folded = next;
    }
    return folded;
  }

  private withoutIgnored(segment: string): string {
    let kept = '';
    for (const char of segment) if (!this.ignores(char.codePointAt(0) as number)) kept += char;
    return kept;
  }

  private kindOf(code: number): number {
    const known = this.kinds[code] as number;
    if (known !== 0) return known;
    const kind = this.lookUp(code);
    this.kinds[code] = kind;
    return kind;
  }

  private lookUp(code: number): number {
    const char = String.fromCodePoint(code);
    if (INVISIBLE.test(char)) {
      // Set first: folding asks for it again.
      return IGNORED;
    }
    // By its decomposition: the half-width voiced mark is a letter, and composes as the mark does.
    if (COMPOSES_BACKWARDS.test(char.normalize('NFKD'))) return EXTENDS;
    this.kinds[code] = CHANGES;
    return this.foldSegment(char) === char ? STANDS : CHANGES;
  }
}

/** Full case folding: by way of upper case, "ß" and "ẞ", "ς" and "σ", "ſ" and "s" become one. */
function foldCase(text: string): string {
  return text.toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}

/** Each letter's marks by its own script: case folding can make a letter of a mark (U+0345). */
function withoutStrayMarks(segment: string): string {
  return segment.replace(LETTER_WITH_MARKS, (_, letter: string, marks: string) => {
    return letter + (WITHOUT_OWN_MARKS.test(letter) ? '' : marks.replace(MARKS_OF_ANY_SCRIPT, ''));
  });
}

function sizeOf(code: number): 1 | 2 {
  return code > 0xffff ? 2 : 1;
}

/** Growing columns of a {@link FoldedText}. */
class Output {
  private units: Uint16Array;
  private starts: Int32Array;
  private ends: Int32Array;
  private length = 0;

  constructor(expected: number) {
    // Most texts keep their length; an Arabic ligature becomes up to 18 units.
    this.units = new Uint16Array(expected + 16);
    this.starts = new Int32Array(expected + 16);
    this.ends = new Int32Array(expected + 16);
  }

  pushUnit(unit: number, start: number, end: number): void {
    if (this.length === this.units.length) this.grow();
    this.units[this.length] = unit;
    this.starts[this.length] = start;
    this.ends[this.length] = end;
    this.length += 1;
  }

  push(text: string, start: number, end: number): void {
    for (let i = 0; i < text.length; i++) this.pushUnit(text.charCodeAt(i), start, end);
  }

  done(): FoldedText {
    const { units, starts, ends, length } = this;
    return { units, starts, ends, length };
  }

  private grow(): void {
    const size = this.length * 2;
    this.units = enlarged(this.units, new Uint16Array(size));
    this.starts = enlarged(this.starts, new Int32Array(size));
    this.ends = enlarged(this.ends, new Int32Array(size));
  }
}

function enlarged<T extends Uint16Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
