/** Puts HEADERS and CONTINUATION frames together, and reads what they say of a call. */
import { outcomeOf } from './grpc-call';
import type { Outcome } from './grpc-call';
import { HeaderDecoder, knownHeaders } from '../../http2/hpack';
import type { Header } from '../../http2/hpack';
import { FLAG, FRAME, ProtocolError } from '../../http2/frames';
import type { Frame } from '../../http2/frames';

/** Blocks are remembered by their bytes; nearly all that a gateway sends are the same few. */
const MAX_KNOWN = 100;
const MAX_BLOCK_BYTES = 65_536;
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
    listBytes: MAX_BLOCK_BYTES,
  });
  private partial: { stream: number; last: boolean; block: Buffer } | undefined;

  /** CONTINUATION must follow. */
  get isPartial(): boolean {
    return this.partial !== undefined;
  }

  /** The block that the frame completes, if it does. */
  take({ type, flags, stream, payload }: Frame): HeaderBlock | undefined {
    const before = this.partial;
    if (type === FRAME.continuation && before?.stream !== stream) {
      throw new ProtocolError('CONTINUATION of nothing');
    }
    const block = before ? Buffer.concat([before.block, payload]) : payload;
    const last = before ? before.last : (flags & FLAG.endStream) !== 0;
    if (flags & FLAG.endHeaders) {
      this.partial = undefined;
      return { stream, outcome: this.read(block), last };
    }
    if (block.length > MAX_BLOCK_BYTES) throw new ProtocolError('headers are too large');
    this.partial = { stream, last, block };
    return undefined;
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
