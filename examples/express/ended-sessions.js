// Which sessions are over, as far as the stream of events tells.
//
// The stream and not Pub/Sub: both bring an event at once, but only the stream still has it for a service that was not
// listening. So what is missed and what is new come the same way. Every process reads all of it for itself: a consumer
// group would give each event to one of them.
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'redis';

const STREAM = 'auth:events';
const ENDINGS = ['session.terminated', 'session.deleted'];
const BATCH = 1000;
/** How long one read waits for more, in ms. */
const WAIT_MS = 250;
/** What was up to date so long ago is not any more. The auth service's nodes trust each other for as long. */
const STALE_MS = 1000;
/** Clocks of different machines differ by less than this, and a token is signed so soon after its session changed. */
const SLACK_MS = 5000;

export class EndedSessions {
  /** By session id; `until` its last access token has run out: then it may be forgotten. All times are in ms. */
  #ended = new Map();
  /** By session id: when the auth service called it live; and `until` when that is of use. */
  #confirmed = new Map();
  /** The id of the last entry read. */
  #last = null;
  /** Endings before this are not known, by the clock of Redis. */
  #since = Infinity;
  #upToDateAt = -Infinity;

  /** 'ended', 'live', or 'unsure': then only the auth service knows. */
  standing({ sid, iat }) {
    if (this.#ended.has(sid)) return 'ended';
    // A session was live when its token was signed. If that was after `since`, its ending would have been read.
    const liveAt = Math.max(iat * 1000, this.#confirmed.get(sid)?.at ?? 0);
    return this.upToDate && liveAt > this.#since + SLACK_MS ? 'live' : 'unsure';
  }

  get upToDate() {
    return performance.now() - this.#upToDateAt < STALE_MS;
  }

  /** The auth service has said that this session was live then: spares the next question. */
  confirm({ sid, exp }, at) {
    this.#confirmed.set(sid, { at, until: exp * 1000 });
  }

  /** Reads for as long as the process lives. */
  async follow(url) {
    setInterval(() => this.#forget(), 60_000).unref();
    for (;;) {
      // A line that breaks or falls silent is not mended but replaced, so that it is known where reading goes on.
      const redis = createClient({ url, socket: { reconnectStrategy: false, socketTimeout: 2000 } });
      redis.on('error', () => {}); // told below
      try {
        await redis.connect();
        for (;;) await this.#read(redis);
      } catch (error) {
        console.error(`events: ${error.message}`);
        if (redis.isOpen) redis.destroy();
        await pause(200);
      }
    }
  }

  async #read(redis) {
    if (this.#last === null) return this.#begin(redis);
    // Sent together. Is the last entry read still there, then nothing after it was trimmed away or lost with Redis.
    const [held, found] = await Promise.all([
      redis.xRange(STREAM, this.#last, this.#last),
      redis.xRead({ key: STREAM, id: this.#last }, { COUNT: BATCH, BLOCK: WAIT_MS }),
    ]);
    if (held.length === 0) return this.#begin(redis);
    const entries = found?.[0].messages ?? [];
    this.#take(entries);
    if (entries.length < BATCH) this.#upToDateAt = performance.now();
  }

  /** Takes the stream from its oldest entry. What came before is not known, and nothing is where there is none. */
  async #begin(redis) {
    this.#last = null;
    this.#upToDateAt = -Infinity;
    const entries = await redis.xRange(STREAM, '-', '+', { COUNT: 1 });
    if (entries.length === 0) return pause(WAIT_MS);
    // The id of an entry begins with the ms in which it was added.
    this.#since = parseInt(entries[0].id);
    this.#take(entries);
  }

  #take(entries) {
    for (const { id, message } of entries) {
      const { event, sessionId, tokensExpireAt } = JSON.parse(message.data);
      if (ENDINGS.includes(event)) this.#ended.set(sessionId, { until: Date.parse(tokensExpireAt) + SLACK_MS });
      this.#last = id;
    }
  }

  #forget() {
    for (const sessions of [this.#ended, this.#confirmed]) {
      for (const [sid, { until }] of sessions) if (until < Date.now()) sessions.delete(sid);
    }
  }
}
