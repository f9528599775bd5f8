// How long after the answer to an ending other services still accept the session: over Redis, and over /revocations.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { SECRETS, authService, eventually, example, place, somebody } from './support/service.js';
import { line } from './support/line.js';

const ROUNDS = 200;
/** An ending is known within this time, except for one in a hundred. */
const AT_ONCE_MS = 1000;

let here;
/** Services by their names in the results. */
const followers = new Map();

before(async () => {
  here = await place(13);
  here.auth = await authService(here);
  const [apiKey] = /ak_\w+/.exec(await here.auth.command(['api-keys', 'create', '--scope', 'tokens:introspect']));
  // The services cannot query the auth service: they refuse by what they have received.
  const toAuth = await line(here.auth.url);
  here.onStop(() => toAuth.close());
  toAuth.cut();
  const { JWT_ACCESS_SECRET } = SECRETS;
  const ways = {
    Redis: { REDIS_URL: here.redisUrl },
    '/revocations': { AUTH_API_KEY: apiKey, REVOCATIONS_URL: `${here.auth.url}/revocations` },
  };
  for (const name of ['express', 'spring']) {
    for (const [way, settings] of Object.entries(ways)) {
      followers.set(`${name}, ${way}`, await example(here, name, { AUTH_URL: toAuth.url, JWT_ACCESS_SECRET, ...settings }));
    }
  }
  await Promise.all([...followers.values()].map((service) => service.following()));
});

after(() => here?.stop());

test('an ended session is refused within a second, 99 times in a hundred', async (t) => {
  const { laptop, signIn } = await somebody(here.auth.url);
  const took = new Map([...followers.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const phone = await signIn('Phone');
    for (const [name, service] of followers) {
      await eventually(`${name} accepts it`, async () => (await service.orders(phone.token)).status === 200);
    }
    await laptop.end(phone);
    const ended = performance.now();
    await Promise.all([...followers].map(async ([name, service]) => {
      await refused(service, phone);
      took.get(name).push(performance.now() - ended);
    }));
  }
  for (const [name, times] of took) {
    times.sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((part) => times[Math.ceil(part * ROUNDS) - 1]);
    t.diagnostic(`${name}: refused after ${p50.toFixed(1)} ms (p50), ${p99.toFixed(1)} ms (p99)`);
    assert.ok(p99 < AT_ONCE_MS, `${name}: ${p99} ms`);
  }
});

async function refused(service, { token }) {
  for (;;) {
    const { status, body } = await service.orders(token);
    if (status === 401) return assert.equal(body.code, 'session_terminated');
    // Four are queried at the same time, on few cores.
    await pause(1);
  }
}
