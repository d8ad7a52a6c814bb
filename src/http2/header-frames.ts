/** Puts HEADERS and CONTINUATION frames of one connection together (RFC 9113, §6.10). */
import { ERROR, FLAG, FRAME, ProtocolError } from './frames';
import type { Frame } from './frames';

/** The largest list of headers, as RFC 9113, §6.5.2 counts it, bytes: what grpc-js and Node take. */
export const MAX_HEADER_LIST_BYTES = 65_536;
/** Of one block: who sends more floods us. */
const MAX_CONTINUATIONS = 8;

export interface HeaderFrames {
  readonly stream: number;
  readonly block: Buffer;
  /** The peer sends nothing more on the stream. */
  readonly isLast: boolean;
}

export class HeaderAssembly {
  private partial: HeaderFrames | undefined;
  private continuations = 0;

  /** The block that the frame completes, if it does; any other frame in between breaks the protocol. */
  take({ type, flags, stream, payload }: Frame): HeaderFrames | undefined {
    const before = this.partial;
    if (type === FRAME.continuation) {
      if (before?.stream !== stream) throw new ProtocolError('CONTINUATION of nothing');
      this.continuations += 1;
    } else {
      this.continuations = 0;
    }
    const whole = {
      stream,
      block: before ? Buffer.concat([before.block, payload]) : payload,
      isLast: before ? before.isLast : (flags & FLAG.endStream) !== 0,
    };
    if (this.continuations > MAX_CONTINUATIONS || whole.block.length > MAX_HEADER_LIST_BYTES) {
      throw new ProtocolError('the headers are too large', ERROR.enhanceYourCalm);
    }
    const isComplete = (flags & FLAG.endHeaders) !== 0;
    this.partial = isComplete ? undefined : whole;
    return isComplete ? whole : undefined;
  }

  /** CONTINUATION must follow. */
  get isPartial(): boolean {
    return this.partial !== undefined;
  }
}
