// Services that follow endings over HTTP, without Redis: each has its own lines to /revocations and to
// the rest of the auth service, so that one of them can be cut.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SECRETS, SERVICES, authService, eventually, example, place, somebody } from './support/service.js';
import { line } from './support/line.js';

/** An ending is known within this time. */
const AT_ONCE_MS = 1000;
/** After this time without news nothing is trusted any more; it includes some time to notice that. */
const STALE_MS = 1500;

let here;
let apiKey;

before(async () => {
  here = await place(15);
  here.auth = await authService(here);
  [apiKey] = /ak_\w+/.exec(await here.auth.command(['api-keys', 'create', '--scope', 'tokens:introspect']));
});

after(() => here?.stop());

describe('followers of /revocations', { concurrency: 3 }, () => Object.keys(SERVICES).forEach((name) => {
  describe(name, { concurrency: 1 }, () => {
    test('an ended session is refused within a second, with nobody asked', async () => {
      await using(name, async ({ service, toAuth }) => {
        const { laptop, phone } = await devices(service);
        toAuth.cut();
        await phone.end(laptop);
        const since = performance.now();
        await eventually('it is refused', async () => String(await verdict(service, laptop)) === '401,session_terminated');
        const took = performance.now() - since;
        assert.ok(took < AT_ONCE_MS, `${took} ms`);
        assert.deepEqual(await verdict(service, phone), [200, undefined]);
      });
    });

    for (const fault of ['cut', 'silence']) {
      test(`while its line is ${fault === 'cut' ? 'cut' : 'silent'} it asks, and afterwards it knows by itself`, async () => {
        await using(name, async ({ service, toRevocations, toAuth }) => {
          const { laptop, phone } = await devices(service);
          toRevocations[fault]();
          await phone.end(laptop);
          await eventually('it is refused', async () => (await service.orders(laptop.token)).status === 401, STALE_MS);
          assert.deepEqual(await verdict(service, phone), [200, undefined]);
          await eventually('it knows nothing', async () => !(await service.health()).body.eventsUpToDate);
          toAuth.cut();
          assert.equal((await service.orders(phone.token)).status, 503, 'it can neither know nor ask, and says so');
          toRevocations.mend();
          await eventually('it follows again', async () => (await service.orders(phone.token)).status === 200);
          assert.deepEqual(await verdict(service, laptop), [401, 'session_terminated']);
        });
      });
    }

    test('what ended while it did not run is refused when it runs again', async () => {
      const { laptop, phone } = await using(name, async ({ service }) => devices(service));
      await phone.end(laptop);
      await using(name, async ({ service, toAuth }) => {
        toAuth.cut();
        assert.deepEqual(await verdict(service, laptop), [401, 'session_terminated']);
        assert.equal((await service.orders(phone.token)).status, 200);
      });
    });
  });
}));

/** One of the services, following over a line of its own. */
async function using(name, work) {
  const [toRevocations, toAuth] = await Promise.all([line(here.auth.url), line(here.auth.url)]);
  const { JWT_ACCESS_SECRET } = SECRETS;
  const service = await example(here, name, {
    AUTH_URL: toAuth.url,
    REVOCATIONS_URL: `${toRevocations.url}/revocations`,
    AUTH_API_KEY: apiKey,
    JWT_ACCESS_SECRET,
  });
  try {
    await service.following();
    return await work({ service, toRevocations, toAuth });
  } finally {
    await service.stop();
    await Promise.all([toRevocations.close(), toAuth.close()]);
  }
}

/** The devices of one person, known to be live. */
async function devices(service) {
  const { laptop, signIn } = await somebody(here.auth.url);
  const phone = await signIn('Phone');
  for (const { token } of [laptop, phone]) assert.equal((await service.orders(token)).status, 200);
  return { laptop, phone };
}

async function verdict(service, { token }) {
  const { status, body } = await service.orders(token);
  return [status, body.code];
}
