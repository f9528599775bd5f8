// Tokens as the verifiers of each language check them, with each algorithm: valid ones pass, all others
// do not.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { freePort, run } from '../../tests/browser/support/processes.js';
import { SECRETS, SERVICES, authService, eventually, example, place, somebody } from './support/service.js';
import { badTokens, keysOf } from './support/tokens.js';

const AUDIENCE = 'orders';
let here;

before(async () => {
  here = await place(1);
});

after(() => here?.stop());

describe('tokens', { concurrency: 2 }, () => {
  for (const algorithm of ['HS256', 'EdDSA', 'ES256', 'RS256']) {
    test(`${algorithm}: good tokens pass, all others do not`, async () => {
      const keyFile = algorithm === 'HS256' ? undefined : await newKey(algorithm, 'only');
      const service = await authService(here, { ...signing(algorithm, keyFile), JWT_AUDIENCE: AUDIENCE });
      const env = settings(service.url, algorithm, AUDIENCE);
      const services = await Promise.all(Object.keys(SERVICES).map((name) => example(here, name, env)));

      const { laptop } = await somebody(service.url);
      await laptop.refresh();
      const { sub, sid, role } = decodeJwt(laptop.token);
      for (const each of services) {
        const answer = await each.orders(laptop.token);
        assert.deepEqual([answer.status, answer.body.caller], [200, { user: sub, session: sid, role }]);
        assert.equal(await each.status('/nowhere', laptop.token), 404, 'a valid token does not turn a 404 into a 401');
        const nothing = await each.orders(undefined);
        assert.deepEqual([nothing.status, nothing.challenge, nothing.body.code], [401, 'Bearer', 'token_missing']);
      }

      const bad = await badTokens(laptop.token, laptop.refreshToken, await keysOf(algorithm, keyFile));
      for (const [what, token] of Object.entries(bad)) {
        const code = what.startsWith('expired') ? 'token_expired' : 'token_invalid';
        const answers = await Promise.all(services.map((each) => each.orders(token)));
        for (const { status, challenge, body } of answers) {
          assert.deepEqual([status, challenge, body.code], [401, 'Bearer error="invalid_token"', code], what);
        }
      }
      // So they were not refused for some other reason.
      for (const each of services) assert.equal((await each.orders(laptop.token)).status, 200);
      await Promise.all(services.map((each) => each.stop()));
      await service.stop();
    });
  }

  test('a key is rotated, and nobody who verifies is started again', async () => {
    const [first, second, third] = await Promise.all(['first', 'second', 'third'].map((name) => newKey('EdDSA', name)));
    const port = { PORT: String(await freePort()) };
    const before = await authService(here, { ...signing('EdDSA', first), ...port });
    const env = settings(before.url, 'EdDSA');
    const services = await Promise.all(Object.keys(SERVICES).map((name) => example(here, name, env)));
    const verdicts = async (token) => {
      const answers = await Promise.all(services.map((each) => each.orders(token)));
      return answers.map(({ status }) => status === 200);
    };
    const all = services.map(() => true);
    const { laptop, signIn } = await somebody(before.url);
    assert.deepEqual(await verdicts(laptop.token), all);
    await before.stop();

    // The new key was not published in advance: it is fetched as soon as the keys may be fetched again.
    const surprise = { ...signing('EdDSA', second), JWT_PREVIOUS_KEY_FILES: [first, third].join() };
    const meanwhile = await authService(here, { ...surprise, ...port });
    const phone = await signIn('Phone');
    assert.notEqual(keyId(phone.token), keyId(laptop.token));
    await eventually('the new key is known', async () => String(await verdicts(phone.token)) === String(all));
    assert.deepEqual(await verdicts(laptop.token), all, 'the old key is good as well');
    await meanwhile.stop();

    // The third was published before it signs, so it is known at once.
    await authService(here, { ...signing('EdDSA', third), JWT_PREVIOUS_KEY_FILES: [first, second].join(), ...port });
    const tablet = await signIn('Tablet');
    assert.equal(new Set([laptop, phone, tablet].map(({ token }) => keyId(token))).size, 3);
    assert.deepEqual(await verdicts(tablet.token), all);
  });
});

function signing(algorithm, keyFile) {
  return { JWT_ALGORITHM: algorithm, ...(keyFile && { JWT_PRIVATE_KEY_FILE: keyFile }) };
}

/** The settings of the examples. */
function settings(url, algorithm, audience) {
  const { JWT_ACCESS_SECRET } = SECRETS;
  return {
    AUTH_URL: url,
    REDIS_URL: here.redisUrl,
    JWT_ALGORITHM: algorithm,
    ...(audience && { JWT_AUDIENCE: audience }),
    ...(algorithm === 'HS256' && { JWT_ACCESS_SECRET }),
  };
}

async function newKey(algorithm, name) {
  const file = join(here.folder, `${algorithm}-${name}.pem`);
  await run(here.program, ['keys', 'generate', '--algorithm', algorithm, '--out', file], { cwd: here.folder });
  return file;
}

function keyId(token) {
  return JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid;
}
