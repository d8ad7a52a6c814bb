/** How many streams a client may begin and break off: more is an attack (CVE-2023-44487, CVE-2025-8671). */
import { ERROR, ProtocolError } from '../../http2/frames';

/** What nghttp2, and with it Node, allows: so many at once, and so many a second after that. */
const BURST = 1_000;
const PER_SECOND = 33;

export class ResetBudget {
  private left = BURST;
  private at = performance.now();

  /** For each stream that the client resets, or has us reset; throws {@link ProtocolError}. */
  spend(): void {
    const now = performance.now();
    this.left = Math.min(BURST, this.left + ((now - this.at) / 1_000) * PER_SECOND);
    this.at = now;
    if (this.left < 1) throw new ProtocolError('too many resets', ERROR.enhanceYourCalm);
    this.left -= 1;
  }
}
