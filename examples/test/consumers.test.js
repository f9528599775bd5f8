// Consumers of the stream: every event once and in order, whatever happens to them or to their line to
// Redis. All three are tested with the same events, each with a group of its own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KINDS, consumer } from './support/consumers.js';
import { line } from './support/line.js';
import { STREAM, authService, eventually, place, somebody } from './support/service.js';

const PEOPLE = 3;
/** What a person does in `live`, as other services learn of it. */
const A_LIFE = [
  'user.registered', 'session.created',
  'user.login', 'session.created',
  'token.refreshed',
  'session.terminated',
  'user.login', 'session.created',
  'session.terminated', 'sessions.bulk_terminated',
  'user.logout', 'session.deleted',
];

let here;
let auth;

before(async () => {
  here = await place(0);
  auth = await authService(here);
});

after(() => here?.stop());

test('every event comes once and in order, also across a restart', async () => {
  const consumers = KINDS.map((kind) => consumer(here, kind, 'restarted'.concat(kind)));
  consumers.forEach((each) => each.start());
  const first = people();
  await eventually('each has begun', () => consumers.every((each) => each.events().length > 0));
  assert.deepEqual(await Promise.all(consumers.map((each) => each.stop())), KINDS.map(() => 0));
  const meanwhile = await people();
  consumers.forEach((each) => each.start());
  for (const each of await finished(consumers)) {
    for (const user of [...(await first), ...meanwhile]) {
      assert.deepEqual(each.filter(({ userId }) => userId === user).map(({ event }) => event), A_LIFE);
    }
  }
});

test('killed without a warning, none is lost, and at most the one in its hands comes twice', async () => {
  const { laptop } = await somebody(auth.url);
  for (let count = 0; count < 100; count += 1) await laptop.refresh();
  await published(laptop.user, 2 + 100);
  const all = await stream();
  const consumers = KINDS.map((kind) => consumer(here, kind, 'killed'.concat(kind)));
  const killed = await Promise.all(consumers.map((each) => each.killedAfter(20)));
  assert.deepEqual(killed, KINDS.map(() => 'SIGKILL'));
  for (const each of consumers) {
    assert.ok(each.events().length < all.length, 'it was in the middle of its work');
    each.start();
  }
  for (const each of consumers) {
    await each.caughtUp();
    await each.stop();
    const once = unique(each.events());
    assert.ok(each.events().length - once.length <= 1, 'more than one came twice');
    assertSame(once, all);
  }
});

test('what is published a second time is not told a second time', async () => {
  const consumers = KINDS.map((kind) => consumer(here, kind, 'repeated'.concat(kind)));
  consumers.forEach((each) => each.start());
  await people();
  await Promise.all(consumers.map((each) => each.caughtUp()));
  // As after a crash between Redis accepting them and their deletion from the outbox.
  const last = await here.redis.xRevRange(STREAM, '+', '-', { COUNT: 5 });
  for (const { message } of last.reverse()) await here.redis.xAdd(STREAM, '*', message);
  await people();
  await finished(consumers);
});

test('a line that is cut for a while loses and repeats nothing', async () => {
  const { toRedis, consumers } = await onALine('cut');
  toRedis.cut();
  await people();
  toRedis.mend();
  await people();
  await finished(consumers);
});

test('what was given out on a line that had fallen silent comes once and in order all the same', async () => {
  const { toRedis, consumers } = await onALine('silent');
  const { laptop } = await somebody(auth.url);
  let events = 2;
  const refresh = async () => {
    await laptop.refresh();
    await published(laptop.user, (events += 1));
  };
  await eventually('each was given something that did not reach it', async () => {
    toRedis.mend();
    await Promise.all(consumers.map((each) => each.caughtUp()));
    // Most of the time they wait for something new, but now and then one is between two reads.
    toRedis.silence();
    await refresh();
    return (await pending('silent')).every((count) => count > 0);
  }, 30_000);
  await refresh();
  toRedis.mend();
  await refresh();
  await finished(consumers);
});

/** Running consumers, all on one line to Redis. */
async function onALine(group) {
  const toRedis = await line(here.redisUrl);
  here.onStop(toRedis.close);
  const consumers = KINDS.map((kind) => consumer(here, kind, group.concat(kind), { REDIS_URL: toRedis.url }));
  consumers.forEach((each) => each.start());
  await people();
  await Promise.all(consumers.map((each) => each.caughtUp()));
  return { toRedis, consumers };
}

test('what another has taken and not acknowledged is taken over', async () => {
  const consumers = KINDS.map((kind) => consumer(here, kind, 'claimed'.concat(kind), { CLAIM_IDLE_MS: '50' }));
  for (const kind of KINDS) {
    const group = 'claimed'.concat(kind);
    await here.redis.xGroupCreate(STREAM, group, '0');
    await here.redis.xReadGroup(group, 'dead', { key: STREAM, id: '>' }, { COUNT: 150 });
  }
  assert.deepEqual(await pending('claimed'), KINDS.map(() => 150));
  await eventually('they have been idle for long enough', async () => {
    const ranges = KINDS.map((kind) => here.redis.xPendingRange(STREAM, 'claimed'.concat(kind), '-', '+', 1));
    return (await Promise.all(ranges)).every(([{ millisecondsSinceLastDelivery }]) => millisecondsSinceLastDelivery > 50);
  });
  consumers.forEach((each) => each.start());
  await finished(consumers);
});

// Last, because it removes entries from the stream.
test('messages that were read, not acknowledged and then trimmed are reported as lost', async () => {
  const consumers = KINDS.map((kind) => consumer(here, kind, 'trimmed'.concat(kind)));
  for (const kind of KINDS) {
    const group = 'trimmed'.concat(kind);
    await here.redis.xGroupCreate(STREAM, group, '0');
    await here.redis.xReadGroup(group, 'one', { key: STREAM, id: '>' }, { COUNT: 3 });
  }
  const oldest = await here.redis.xRange(STREAM, '-', '+', { COUNT: 3 });
  await here.redis.xTrim(STREAM, 'MINID', oldest[2].id);
  consumers.forEach((each) => each.start());
  await finished(consumers);
  for (const each of consumers) {
    assert.deepEqual(each.complaints().match(/lost: (\S+)/g), oldest.slice(0, 2).map(({ id }) => `lost: ${id}`));
  }
});

/** Runs `live` for several people at the same time; returns their ids. */
function people() {
  return Promise.all(Array.from({ length: PEOPLE }, live));
}

async function live() {
  const { laptop, signIn } = await somebody(auth.url);
  const phone = await signIn('Phone');
  await phone.refresh();
  await phone.end(laptop);
  const tablet = await signIn('Tablet');
  await tablet.endOthers();
  await tablet.logout();
  await published(laptop.user, A_LIFE.length);
  return laptop.user;
}

/** Waits until that many events of a user are in the stream, which is a moment after the answer. */
function published(user, count) {
  return eventually('it is published', async () => {
    const entries = await here.redis.xRevRange(STREAM, '+', '-', { COUNT: 200 });
    return entries.filter(({ message }) => JSON.parse(message.data).userId === user).length >= count;
  });
}

/** The events in the stream. */
async function stream() {
  const entries = await here.redis.xRange(STREAM, '-', '+');
  const events = entries.map(({ message }) => JSON.parse(message.data));
  return unique(events);
}

/** Each event once, at its first position. */
function unique(events) {
  const seen = new Set();
  return events.filter(({ eventId }) => !seen.has(eventId) && seen.add(eventId));
}

function assertSame(events, expected) {
  const ids = (events) => events.map(({ eventId }) => eventId);
  const [found, wanted] = [ids(events), ids(expected)];
  assert.deepEqual(wanted.filter((id) => !found.includes(id)), [], 'lost');
  assert.deepEqual(found.filter((id, at) => found.indexOf(id) !== at), [], 'repeated');
  assert.deepEqual(found.filter((id, at) => id !== wanted[at]), [], 'out of order, or never sent');
}

/** How many entries were delivered to each group and not acknowledged. */
async function pending(group) {
  const groups = await here.redis.xInfoGroups(STREAM);
  return KINDS.map((kind) => groups.find(({ name }) => name === group.concat(kind))?.pending ?? 0);
}

/** Stops them at the end of the stream; each must have printed all of it, once and in its order. */
async function finished(consumers) {
  await Promise.all(consumers.map((each) => each.caughtUp()));
  assert.deepEqual(await Promise.all(consumers.map((each) => each.stop())), KINDS.map(() => 0));
  const all = await stream();
  for (const each of consumers) assertSame(each.events(), all);
  return consumers.map((each) => each.events());
}
