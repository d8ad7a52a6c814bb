import { Roster } from '../../src/domain/roster';
import type { MembershipChange } from '../../src/domain/roster';

const change = (userId: string, type: 'join' | 'leave', at: number): MembershipChange => ({
  groupId: 'g',
  userId,
  type,
  at,
});

function roster(members: Record<string, number>, ...changes: MembershipChange[]): Roster {
  const made = new Roster();
  for (const [userId, joinedAt] of Object.entries(members)) made.add({ userId, joinedAt });
  for (const each of changes) made.apply(each);
  return made;
}

describe('the members of a group', () => {
  it('at the time of a message are those who had joined and had not left', () => {
    const group = roster(
      { alice: 10, bob: 10 },
      change('bob', 'leave', 50),
      change('carol', 'join', 60),
    );
    expect(group.membersAt(40).sort()).toEqual(['alice', 'bob']);
    expect(group.membersAt(55)).toEqual(['alice']);
    expect(group.membersAt(70).sort()).toEqual(['alice', 'carol']);
    expect(group.size).toBe(2);
  });

  it('do not change when an old change is told again, or late', () => {
    const group = roster(
      { alice: 100 },
      change('alice', 'leave', 50),
      change('bob', 'join', 60),
      change('bob', 'leave', 70),
      change('bob', 'join', 60),
    );
    expect(group.joinedAt('alice')).toBe(100);
    expect(group.joinedAt('bob')).toBeUndefined();
  });

  it('who leave and join again were no members between', () => {
    const group = roster({ bob: 10 }, change('bob', 'leave', 50), change('bob', 'join', 80));
    expect([20, 60, 90].map((time) => group.membersAt(time))).toEqual([['bob'], [], ['bob']]);
  });

  it('remember no more than a thousand who left', () => {
    const group = new Roster();
    for (let i = 0; i < 1_500; i++) {
      group.apply(change(`user-${i}`, 'join', i));
      group.apply(change(`user-${i}`, 'leave', 10_000));
    }
    expect(group.membersAt(5_000)).toHaveLength(1_000);
  });
});
