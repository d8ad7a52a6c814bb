import fc from 'fast-check';
import { inSequenceOrder } from '../../src/domain/inbox';
import { privateConversation } from '../../src/domain/ids';
import { message } from '../support/records';

const items = fc.array(
  fc.record({ sender: fc.constantFrom('a', 'b', 'c'), sequence: fc.integer({ min: 1, max: 50 }) }),
);

describe('the order of an inbox page', () => {
  const page = (given: { sender: string; sequence: number }[]) =>
    given.map(({ sender, sequence }, i) => ({
      position: i + 1,
      message: message({
        senderId: sender,
        recipientId: 'me',
        conversation: privateConversation(sender, 'me'),
        sequenceNumber: sequence,
      }),
    }));

  it('keeps every message, and each slot its conversation', () => {
    fc.assert(
      fc.property(items, (given) => {
        const before = page(given);
        const after = inSequenceOrder(before);
        expect(new Set(after)).toEqual(new Set(before));
        expect(after.map((i) => i.message.senderId)).toEqual(given.map((g) => g.sender));
      }),
    );
  });

  it('never puts a smaller number of a conversation behind a larger one', () => {
    fc.assert(
      fc.property(items, (given) => {
        const last = new Map<string, number>();
        for (const { message: m } of inSequenceOrder(page(given))) {
          expect(m.sequenceNumber).toBeGreaterThanOrEqual(last.get(m.senderId) ?? 0);
          last.set(m.senderId, m.sequenceNumber);
        }
      }),
    );
  });
});
