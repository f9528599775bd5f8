// Which sessions are over, according to the stream of events: the one on Redis, or that of `GET
// /revocations`.
//
// The stream rather than Pub/Sub: both deliver an event equally fast, but only the stream still has
// it for a reader that was not listening. Every process reads the whole stream for itself; a
// consumer group would give each event to one of them.
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type Entry, type StreamReader } from './redis.js';
import { RevocationStream } from './revocations.js';

const ENDINGS = new Set(['session.terminated', 'session.deleted']);
const BATCH = 1000;
const RETRY_MS = 200;
/** Clocks of different machines differ by less than this, and a token is signed this soon after its session changed. */
const SLACK_MS = 5000;
const FORGET_EVERY_MS = 60_000;
/** How often it says that the events cannot be followed, at most. */
const TELL_EVERY_MS = 60_000;

export interface Ended {
  sessionId: string;
  userId: string;
  reason: string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** How many different reasons are distinguished. */
const REASONS = 1000;

/** Endings by session, in few bytes each, because there may be very many. */
class Remembered {
  /**
   * From session to when its last access token expires (it may be forgotten then), in seconds, and
   * the reason's index.
   */
  #endings = new Map<string, number>();
  #reasons = ['terminated'];

  get size(): number {
    return this.#endings.size;
  }

  reason(sid: string): string | undefined {
    const found = this.#endings.get(keyOf(sid));
    return found === undefined ? undefined : this.#reasons[found % REASONS];
  }

  /** Whether the ending is new. `until` is in ms. */
  add(sid: string, reason: string, until: number): boolean {
    const key = keyOf(sid);
    const isNews = !this.#endings.has(key);
    let place = this.#reasons.indexOf(reason);
    // It is an ending whatever the reason is called.
    if (place < 0) place = this.#reasons.length < REASONS ? this.#reasons.push(reason) - 1 : 0;
    this.#endings.set(key, Math.ceil(until / 1000) * REASONS + place);
    return isNews;
  }

  forget(now: number): void {
    for (const [key, found] of this.#endings) if (Math.floor(found / REASONS) * 1000 < now) this.#endings.delete(key);
  }
}

/** A UUID's own 16 bytes, as a text of one byte a character. */
function keyOf(sid: string): string {
  return UUID.test(sid) ? Buffer.from(sid.replaceAll('-', ''), 'hex').toString('latin1') : sid;
}

export type Knowledge = { state: 'live' } | { state: 'ended'; reason: string } | { state: 'unsure' };

export class EndedSessions {
  #ended = new Remembered();
  /**
   * By session id: the auth service confirmed it as live after reading began; until when that is of
   * use, in ms.
   */
  #confirmed = new Map<string, number>();
  #last: string | undefined;
  /** Endings before this are not known; ms by the clock of Redis. */
  #since = Infinity;
  /** When there was nothing left to read; ms of the monotonic clock, which nobody can set. */
  #upToDateAt = -Infinity;
  /** When the current reading began; ms of the monotonic clock. */
  #begunAt = Infinity;
  #reader: { close(): void } | undefined;
  #closed = false;
  /** When it last said that the events cannot be followed; ms of the monotonic clock. */
  #toldAt = -Infinity;
  #timer: NodeJS.Timeout;
  readonly #maxStaleness: number;
  /** How long after their expiry tokens are still accepted, in ms. */
  readonly #tolerance: number;
  /** How long a read waits for new entries: two reads must fit into `maxStaleness`. */
  readonly #waitMs: number;
  readonly #onEnded: (ended: Ended) => void;
  readonly #onError: (error: unknown) => void;

  constructor(maxStaleness: number, tolerance: number, onEnded: (ended: Ended) => void, onError: (error: unknown) => void) {
    this.#maxStaleness = maxStaleness;
    this.#tolerance = tolerance;
    this.#waitMs = Math.min(250, Math.floor(maxStaleness / 4));
    this.#onEnded = onEnded;
    this.#onError = onError;
    this.#timer = setInterval(() => this.#forget(), FORGET_EVERY_MS);
    this.#timer.unref();
  }

  /** What is known about the session of a token that was signed at `iat` (seconds). */
  of(sid: string, iat: number): Knowledge {
    const reason = this.#ended.reason(sid);
    if (reason !== undefined) return { state: 'ended', reason };
    // A session was live when its token was signed. If that was after `since`, its ending would have been read.
    const known = iat * 1000 > this.#since + SLACK_MS || this.#confirmed.has(sid);
    return this.upToDate && known ? { state: 'live' } : { state: 'unsure' };
  }

  get upToDate(): boolean {
    return performance.now() - this.#upToDateAt < this.#maxStaleness;
  }

  /** Since when every ending is known; undefined while that cannot be said. */
  get since(): Date | undefined {
    return Number.isFinite(this.#since) ? new Date(this.#since) : undefined;
  }

  get remembered(): number {
    return this.#ended.size;
  }

  /**
   * Records that the auth service confirmed this session as live when it was asked at `askedAt`
   * (monotonic ms).
   */
  confirm(sid: string, exp: number, askedAt: number): void {
    // An ending after that is published after reading began, so it will be read.
    if (askedAt > this.#begunAt) this.#confirmed.set(sid, exp * 1000);
  }

  /** The auth service said that the session is over. */
  note(sid: string, reason: string, exp: number): void {
    if (this.#ended.reason(sid) === undefined) this.#ended.add(sid, reason, this.#forgottenAt(exp * 1000));
  }

  /** Reads until it is closed. */
  async follow(url: string, stream: string): Promise<void> {
    while (!this.#closed) {
      try {
        const reader = await connect(url, stream);
        this.#reader = reader;
        while (!this.#closed) await this.#read(reader);
      } catch (error) {
        this.#tell(error);
      } finally {
        try { this.#reader?.close(); } catch { /* it was closed already */ }
        this.#reader = undefined;
      }
      if (!this.#closed) await pause(RETRY_MS, undefined, { ref: false });
    }
  }

  /**
   * The same over HTTP. Remembered endings are kept when a stream ends: the next stream continues
   * from the cursor, or says that it does not.
   */
  async followService(url: string, apiKey: string): Promise<void> {
    const stream = new RevocationStream(url, apiKey);
    this.#reader = stream;
    while (!this.#closed) {
      try {
        await stream.read({
          begin: (since, requestedAt) => {
            this.#forgetPlace();
            this.#begunAt = requestedAt;
            this.#since = Number.isNaN(since) ? Infinity : since;
          },
          ended: (data) => this.#takeEnding(data),
          reached: (at) => { this.#upToDateAt = Math.min(Math.max(this.#upToDateAt, at), performance.now()); },
        });
      } catch (error) {
        this.#tell(error);
      }
      if (!this.#closed) await pause(RETRY_MS, undefined, { ref: false });
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#upToDateAt = -Infinity;
    try { this.#reader?.close(); } catch { /* it was closed already */ }
  }

  async #read(reader: StreamReader): Promise<void> {
    if (this.#last === undefined) return this.#begin(reader);
    const asked = performance.now();
    const { held, entries } = await reader.after(this.#last, BATCH, this.#waitMs);
    // While the last entry read is still there, nothing after it was trimmed or lost with Redis.
    if (!held) {
      this.#forgetPlace();
      return;
    }
    this.#take(entries);
    // Everything published before this read was sent has been read, if the reply was not full.
    if (entries.length < BATCH) this.#upToDateAt = asked;
  }

  /** Starts with the oldest entry. What came before it is not known; without a stream nothing is known. */
  async #begin(reader: StreamReader): Promise<void> {
    const begun = performance.now();
    const first = await reader.oldest();
    if (first === undefined) {
      await pause(RETRY_MS, undefined, { ref: false });
      return;
    }
    this.#begunAt = begun;
    // The id of an entry begins with the milliseconds at which it was added.
    this.#since = Number.parseInt(first.id, 10);
    this.#take([first]);
  }

  #forgetPlace(): void {
    this.#last = undefined;
    this.#since = Infinity;
    this.#begunAt = Infinity;
    this.#upToDateAt = -Infinity;
    this.#confirmed.clear();
  }

  #take(entries: Entry[]): void {
    for (const { id, data } of entries) {
      this.#last = id;
      this.#takeEnding(data, ENDINGS);
    }
  }

  /** One event; where `events` is given only one of these is an ending. */
  #takeEnding(data: string, events?: Set<string>): void {
    let event: { event?: string; sessionId?: string; userId?: string; reason?: string; tokensExpireAt?: string };
    try {
      event = JSON.parse(data);
    } catch (error) {
      return this.#onError(error);
    }
    const { sessionId } = event;
    if ((events && !events.has(event.event ?? '')) || sessionId === undefined) return;
    const reason = event.reason ?? 'terminated';
    const until = Date.parse(event.tokensExpireAt ?? '') || Date.now() + 86_400_000;
    const isNews = this.#ended.add(sessionId, reason, this.#forgottenAt(until));
    this.#confirmed.delete(sessionId);
    if (isNews) this.#onEnded({ sessionId, userId: event.userId ?? '', reason });
  }

  /** Tells why the events cannot be followed: they are tried five times a second. */
  #tell(error: unknown): void {
    const now = performance.now();
    if (this.#closed || now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    this.#onError(error);
  }

  /** When an ending is of no more use: its tokens ran out at `until` (ms), and no clock takes them for good any more. */
  #forgottenAt(until: number): number {
    return until + this.#tolerance + SLACK_MS;
  }

  #forget(): void {
    const now = Date.now();
    this.#ended.forget(now);
    for (const [sid, until] of this.#confirmed) if (until < now) this.#confirmed.delete(sid);
  }
}
