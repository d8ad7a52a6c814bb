/**
 * The sweep over readers of large groups: compares who they are believed to be with the registry, and
 * starts deliveries that were missed. Its cost follows the users who are present, not the members.
 *
 * A user who went without anyone seeing it (no worker ran, or a partition changed hands) was there when
 * the last complete comparison looked: they count as gone since it began. The same goes for one whose
 * devices have all connected since they were noted, who may have been away between (or has changed from
 * one device to another). Both may get a message twice, which clients tell by `msg_id`; they lose none.
 */
import type { Presence } from '../activities/etcd/presence';
import type { GroupReaders, PresentReader } from '../activities/mysql/group-readers';
import type { Device } from '../domain/message';
import type { SweepPage } from '../domain/delivery';
import { inParallel } from './in-parallel';

/** Where the pages over readers begin; no user id contains `/`. */
export const FIRST_READERS = '/';
const PAGE_SIZE = 500;
/** How long a user whose delivery failed visibly is left alone, ms: operators may be at work on it. */
const LEAVE_ALONE_MS = 10 * 60_000;

export interface SweepReadersDeps {
  readonly readers: Pick<
    GroupReaders,
    'presentPage' | 'appear' | 'vanish' | 'settle' | 'lastCheck' | 'recordCheck'
  >;
  readonly presence: Pick<Presence, 'lookupMany' | 'registeredUsers'>;
  readonly requests: { start(userId: string): Promise<void> };
  readonly now: () => number;
}

/** A place in the comparison: which half, when it began (unix ms), after which user. */
interface Place {
  readonly half: 'readers' | 'registry';
  readonly beganAt: number;
  readonly after: string;
}

export function isOfReaders(after: string): boolean {
  return after.startsWith(FIRST_READERS);
}

/** One page; rejects when the registry cannot be asked: the page is then swept again. */
export function sweepReaders(deps: SweepReadersDeps, after: string): Promise<SweepPage> {
  const place = parse(after, deps.now());
  return place.half === 'readers' ? sweepPresent(deps, place) : sweepRegistered(deps, place);
}

/** Those believed to be present: are they? And have they got everything? */
async function sweepPresent(deps: SweepReadersDeps, place: Place): Promise<SweepPage> {
  const { readers, presence, requests, now } = deps;
  const page = await readers.presentPage(place.after, PAGE_SIZE);
  const lastCheck = await readers.lastCheck();
  const answers = await presence.lookupMany(page.map(({ userId }) => userId));
  const behind: string[] = [];
  for (const reader of page) {
    const { userId } = reader;
    const answer = answers.get(userId);
    // A comparison that left someone out must not count as complete.
    if (!answer?.certain) throw new Error('the registry cannot be asked');
    const since = Math.max(lastCheck, reader.presentSince);
    const isGone = answer.devices.length === 0;
    // Also one who is behind: they could be settled by the next comparison, and be dated since this one.
    const wasAway = isGone || haveAllConnectedAfter(answer.devices, reader.presentSince);
    if (wasAway) await readers.vanish(userId, since);
    if (isGone) continue;
    if (wasAway) await readers.appear([userId], now());
    const isBehind = wasAway ? (await readers.settle([userId])).length > 0 : reader.isBehind;
    if (isBehind && !isLeftAlone(reader, now())) behind.push(userId);
  }
  await inParallel(behind, (userId) => requests.start(userId));
  const last = page.length < PAGE_SIZE ? undefined : page.at(-1)?.userId;
  return { examined: page.length, requested: behind.length, next: nextPlace(place, last) };
}

/** Those in the registry: has anyone appeared unseen? */
async function sweepRegistered(deps: SweepReadersDeps, place: Place): Promise<SweepPage> {
  const { readers, presence, requests, now } = deps;
  const { userIds, next } = await presence.registeredUsers(place.after);
  const appeared = await readers.appear(userIds, now());
  const behind = await readers.settle(appeared);
  await inParallel(behind, (userId) => requests.start(userId));
  if (next === undefined) await readers.recordCheck(place.beganAt);
  return { examined: appeared.length, requested: behind.length, next: nextPlace(place, next) };
}

/** Of a gateway whose clock is ahead this is said at first of everyone, who then get something again. */
function haveAllConnectedAfter(devices: readonly Device[], time: number): boolean {
  return devices.every(({ connectedAt }) => connectedAt * 1_000 > time);
}

function isLeftAlone({ failedAt }: PresentReader, now: number): boolean {
  return failedAt !== null && failedAt > now - LEAVE_ALONE_MS;
}

function parse(after: string, now: number): Place {
  if (after === FIRST_READERS) return { half: 'readers', beganAt: now, after: '' };
  const [, half, beganAt, user = ''] = after.split('/');
  return {
    half: half === 'registry' ? 'registry' : 'readers',
    beganAt: Number(beganAt),
    after: user,
  };
}

/** The place after `last`; after the last page of the first half the second begins. */
function nextPlace({ half, beganAt }: Place, last: string | undefined): string | undefined {
  if (last !== undefined) return `/${half}/${beganAt}/${last}`;
  return half === 'readers' ? `/registry/${beganAt}/` : undefined;
}
