/** Reads what HEADERS and CONTINUATION frames say of a call. */
import { outcomeOf } from './grpc-call';
import type { Outcome } from './grpc-call';
import { HeaderDecoder, knownHeaders } from '../../http2/hpack';
import type { Header } from '../../http2/hpack';
import { HeaderAssembly, MAX_HEADER_LIST_BYTES } from '../../http2/header-frames';
import type { Frame } from '../../http2/frames';

/** Blocks are remembered by their bytes; nearly all that a gateway sends are the same few. */
const MAX_KNOWN = 100;
const header = (name: string, value: string): Header => [name, value];
const KNOWN_HEADERS = knownHeaders(header);

export interface HeaderBlock {
  readonly stream: number;
  readonly outcome: Outcome;
  /** Nothing follows on this stream. */
  readonly last: boolean;
}

export class HeaderBlocks {
  private readonly known = new Map<string, Outcome>();
  /** Without a table: a block means the same whatever came before it, and can be remembered. */
  private readonly decoder = new HeaderDecoder(KNOWN_HEADERS, header, {
    tableBytes: 0,
    listBytes: MAX_HEADER_LIST_BYTES,
  });
  private readonly frames = new HeaderAssembly();

  /** CONTINUATION must follow. */
  get isPartial(): boolean {
    return this.frames.isPartial;
  }

  /** The block that the frame completes, if it does. */
  take(frame: Frame): HeaderBlock | undefined {
    const whole = this.frames.take(frame);
    if (!whole) return undefined;
    const { stream, block, isLast } = whole;
    return { stream, outcome: this.read(block), last: isLast };
  }

  private read(block: Buffer): Outcome {
    const key = block.toString('latin1');
    let outcome = this.known.get(key);
    if (!outcome) {
      outcome = outcomeOf(this.decoder.decode(block));
      if (this.known.size >= MAX_KNOWN) this.known.clear();
      this.known.set(key, outcome);
    }
    return outcome;
  }
}
