// Sessions that end in the auth service end in the services that accept its tokens: at once, and also if
// they were not listening. Each is tested with its own lines to Redis and to the auth service, so that
// one of them can be cut.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SECRETS, SERVICES, STREAM, authService, eventually, example, place, somebody } from './support/service.js';
import { line } from './support/line.js';

/** An ending is known within this time. */
const AT_ONCE_MS = 1000;
/** After this time without news nothing is trusted any more; it includes some time to notice that. */
const STALE_MS = 1500;

let here;

before(async () => {
  here = await place(2);
  here.auth = await authService(here);
});

after(() => here?.stop());

describe('sessions', { concurrency: 2 }, () => Object.keys(SERVICES).forEach((name, index, names) => {
  describe(name, { concurrency: 1 }, () => {
    test('an ended session is refused within a second, with nobody asked', async () => {
      await using(name, here, async ({ service, toAuth }) => {
        const { laptop, phone, tablet, watch } = await devices(service);
        toAuth.cut();
        const ways = [
          [() => phone.end(laptop), laptop, 'session_terminated'],
          [() => tablet.logout(), tablet, 'session_logged_out'],
          [() => phone.endOthers(), watch, 'session_terminated'],
        ];
        for (const [end, ended, code] of ways) {
          await end();
          const since = performance.now();
          const refused = await eventually('it is refused', async () => {
            const answer = await service.orders(ended.token);
            return answer.status !== 200 && answer;
          });
          assert.deepEqual([refused.status, refused.body.code], [401, code]);
          const took = performance.now() - since;
          assert.ok(took < AT_ONCE_MS, `${took} ms`);
          assert.equal((await service.orders(phone.token)).status, 200, 'the session that ended them is live');
        }
      });
    });

    test('a session that was idle for too long, or had to make room, is refused', async () => {
      const strict = { SESSION_TIMEOUT_MINUTES: '0.07', MAX_SESSIONS_PER_USER: '1', ACTIVITY_FLUSH_SECONDS: '0.05' };
      await elsewhere(3 + index, strict, async (there) => {
        await using(name, there, async ({ service, toAuth }) => {
          const { laptop, signIn } = await somebody(there.auth.url);
          assert.equal((await service.orders(laptop.token)).status, 200);
          const phone = await signIn('Phone');
          assert.equal((await service.orders(phone.token)).status, 200);
          toAuth.cut();
          for (const [device, code] of [[laptop, 'session_evicted'], [phone, 'session_idle_timeout']]) {
            await eventually('it is refused', async () => String(await verdict(service, device)) === `401,${code}`);
          }
        });
      });
    });

    test('where it matters most the auth service is asked every time', async () => {
      await using(name, here, async ({ service, toAuth }) => {
        const { laptop, phone } = await devices(service);
        assert.equal((await service.pay(phone.token)).status, 201);
        toAuth.cut();
        assert.equal((await service.orders(phone.token)).status, 200);
        assert.equal((await service.pay(phone.token)).status, 503);
        toAuth.mend();
        await phone.end(laptop);
        assert.equal((await service.pay(laptop.token)).status, 401);
      });
    });

    for (const fault of ['cut', 'silence']) {
      const broken = fault === 'cut' ? 'cut' : 'silent';
      test(`while its line to Redis is ${broken} it asks, and afterwards it knows by itself`, async () => {
        await using(name, here, async ({ service, toRedis, toAuth }) => {
          const { laptop, phone } = await devices(service);
          toRedis[fault]();
          await phone.end(laptop);
          const refused = await eventually('it is refused', async () => {
            const answer = await service.orders(laptop.token);
            return answer.status === 401 && answer;
          }, STALE_MS);
          assert.equal(refused.body.code, 'session_terminated', 'the auth service said so');
          assert.equal((await service.orders(phone.token)).status, 200);
          await told(laptop);
          toAuth.cut();
          for (const { token } of [laptop, phone]) {
            assert.equal((await service.orders(token)).status, 503, 'it can neither know nor ask, and says so');
          }
          toRedis.mend();
          await eventually('it follows again', async () => (await service.orders(phone.token)).status === 200);
          assert.deepEqual(await verdict(service, laptop), [401, 'session_terminated']);
        });
      });
    }

    test('its connection is killed, and what ended meanwhile is refused when it is back', async () => {
      await using(name, here, async ({ service, toRedis, toAuth }) => {
        const { laptop, phone } = await devices(service);
        toAuth.cut();
        await killConnections(toRedis);
        await phone.end(laptop);
        await eventually('it is refused', async () => String(await verdict(service, laptop)) === '401,session_terminated');
        await eventually('it follows again', async () => (await service.orders(phone.token)).status === 200);
      });
    });

    test('what ended while it did not run is refused when it runs again', async () => {
      const { laptop, phone } = await using(name, here, async ({ service }) => devices(service));
      await phone.end(laptop);
      await told(laptop);
      await using(name, here, async ({ service, toAuth }) => {
        toAuth.cut();
        assert.deepEqual(await verdict(service, laptop), [401, 'session_terminated']);
        assert.equal((await service.orders(phone.token)).status, 200);
      });
    });

    test('what the stream does not hold any more is not taken for live', async () => {
      await elsewhere(3 + names.length + index, {}, async (there) => {
        await using(name, there, async ({ service, toRedis, toAuth }) => {
          const { laptop, phone } = await devices(service, there);
          toRedis.cut();
          await phone.end(laptop);
          await told(laptop, there);
          // More happened than the stream retains.
          const { laptop: another } = await somebody(there.auth.url);
          await another.logout();
          await told(another, there);
          await there.redis.xTrim(STREAM, 'MAXLEN', 1);
          await eventually('it knows nothing', async () => !(await service.health()).body.eventsUpToDate);
          toRedis.mend();
          await service.following();
          assert.deepEqual(await verdict(service, laptop), [401, 'session_terminated'], 'the auth service said so');
          assert.equal((await service.orders(phone.token)).status, 200);
          toAuth.cut();
          assert.equal((await service.orders(laptop.token)).status, 503);
        });
      });
    });
  });
}));

/** A place of its own, with an auth service that has these settings. */
async function elsewhere(number, settings, work) {
  const there = await place(number);
  try {
    there.auth = await authService(there, settings);
    await work(there);
  } finally {
    await there.stop();
  }
}

/** One of the services, following the events over lines of its own. */
async function using(name, where, work) {
  const [toRedis, toAuth] = await Promise.all([line(where.redisUrl), line(where.auth.url)]);
  const { JWT_ACCESS_SECRET } = SECRETS;
  const service = await example(where, name, { AUTH_URL: toAuth.url, REDIS_URL: toRedis.url, JWT_ACCESS_SECRET });
  try {
    await service.following();
    return await work({ service, toRedis, toAuth });
  } finally {
    await service.stop();
    await Promise.all([toRedis.close(), toAuth.close()]);
  }
}

/** The devices of one person, known to be live. */
async function devices(service, where = here) {
  const { laptop, signIn } = await somebody(where.auth.url);
  const all = { laptop, phone: await signIn('Phone'), tablet: await signIn('Tablet'), watch: await signIn('Watch') };
  for (const { token } of Object.values(all)) assert.equal((await service.orders(token)).status, 200);
  return all;
}

async function verdict(service, { token }) {
  const { status, body } = await service.orders(token);
  return [status, body.code];
}

/** Makes Redis close the connections that came over this line. */
async function killConnections(toRedis) {
  const list = await here.redis.sendCommand(['CLIENT', 'LIST']);
  const isTheirs = (client) => toRedis.farEnds().some((address) => client.includes(` addr=${address} `));
  const theirs = list.split('\n').filter(isTheirs);
  assert.ok(theirs.length > 0, 'it was connected');
  for (const client of theirs) await here.redis.sendCommand(['CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(client)[1]]);
}

/** Waits until others can know that the session is over, which is a moment after the answer. */
function told({ session }, where = here) {
  return eventually('the ending is in the stream', async () => {
    const entries = await where.redis.xRange(STREAM, '-', '+');
    return entries.some(({ message }) => {
      const { event, sessionId } = JSON.parse(message.data);
      return sessionId === session && ['session.terminated', 'session.deleted'].includes(event);
    });
  });
}
