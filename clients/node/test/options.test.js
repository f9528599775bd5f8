// What cannot mean what it says is refused where it is written: a misspelt check would check nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { AuthError, createVerifier } from '../dist/index.js';
import { requireSession as express } from '../dist/express.js';
import { requireSession as fastify } from '../dist/fastify.js';
import { requireSession as hono } from '../dist/hono.js';

const SECRET = 'access-secret-of-the-tests-0123456789abcdef';
const make = (options = {}) => createVerifier({ issuer: 'auth-service', secret: SECRET, onUnsure: 'accept', ...options });

async function token(claims) {
  const iat = Math.floor(Date.now() / 1000);
  const all = { iss: 'auth-service', sub: 'ada', sid: 'laptop', role: 'PRO', acr: 'aal1', iat, exp: iat + 900, auth_time: iat, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' }).sign(new TextEncoder().encode(SECRET));
}

const WRONG_CHECKS = [
  ...['AAL2', 'aal3', 'aal2 ', '', null, 2, ['aal2']].map((acr) => [{ acr }, /`acr` is aal1 or aal2/]),
  ...['PRO', 'PROFESSIONAL', '', null, new Set(['PRO'])].map((roles) => [{ roles }, /`roles` is a list/]),
  ...[-1, NaN, '300', '', null].map((maxAge) => [{ maxAge }, /`maxAge` is a number of seconds/]),
  ...['role', 'ACR', 'max_age', 'maxage'].map((name) => [{ [name]: 'aal2' }, new RegExp(`\`${name}\` is not an option`)]),
];

for (const [options, complaint] of WRONG_CHECKS) {
  test(`a check that would check nothing is refused: ${Object.entries(options).map(([name, value]) => `${name} ${JSON.stringify(value)}`)}`, async () => {
    const verifier = make();
    for (const requireSession of [express, fastify, hono]) {
      assert.throws(() => requireSession(verifier, options), { name: 'TypeError', message: complaint });
    }
    for (const sent of [await token(), undefined, 'nonsense']) {
      await assert.rejects(verifier.verify(sent, options), { name: 'TypeError', message: complaint });
    }
    await assert.rejects(verifier.verifyHeader(`Bearer ${await token()}`, options), { name: 'TypeError', message: complaint });
    verifier.close();
  });
}

test('aal1 and aal2 are levels, an empty list of roles accepts nobody, and what is undefined checks nothing', async () => {
  const verifier = make();
  const one = await token();
  const two = await token({ acr: 'aal2' });
  const refusal = async (sent, options) => {
    const error = await verifier.verify(sent, options).then(() => undefined, (error) => error);
    assert.ok(error instanceof AuthError, String(error));
    return error.code;
  };
  await verifier.verify(one, { acr: 'aal1', roles: ['PRO'], maxAge: 60 });
  await verifier.verify(two, { acr: 'aal1' });
  await verifier.verify(two, { acr: 'aal2' });
  await verifier.verify(one, { acr: undefined, roles: undefined, maxAge: undefined, exact: undefined });
  assert.equal(await refusal(one, { acr: 'aal2' }), 'fresh_authentication_required');
  assert.equal(await refusal(one, { roles: [] }), 'insufficient_scope');
  assert.equal(await refusal(one, { roles: ['PROFESSIONAL'] }), 'insufficient_scope');
  verifier.close();
});

for (const [options, complaint] of [
  ...[undefined, '', null].map((issuer) => [{ issuer }, /`issuer` is needed/]),
  ...['', null].map((audience) => [{ audience }, /`audience` is empty/]),
  ...['refused', 'Accept', ''].map((onUnsure) => [{ onUnsure }, /`onUnsure` is ask, refuse or accept/]),
  ...[-1000, 0, NaN, 'soon'].map((maxStaleness) => [{ maxStaleness }, /`maxStaleness` must be at least 100 ms/]),
  ...[-1, NaN, Infinity, '60', '60 s', null].map((clockTolerance) => [{ clockTolerance }, /`clockTolerance` is a number of seconds/]),
  ...['audiance', 'tolerance'].map((name) => [{ [name]: 'a' }, new RegExp(`\`${name}\` is not an option`)]),
]) {
  test(`a verifier that would check less than it says is not made: ${Object.entries(options).map(([name, value]) => `${name} ${value}`)}`, () => {
    assert.throws(() => make(options), (error) => complaint.test(error.message) && (error instanceof TypeError || error instanceof RangeError));
  });
}

test('what is undefined is not given', () => {
  make({ audience: undefined, clockTolerance: undefined, maxStaleness: undefined, redisUrl: undefined, apiKey: undefined }).close();
});

const NO_ADDRESSES = [
  'localhost:4001', 'auth-service', '', ' ', '/', '//auth-service', 'http:', 'http://', 'https://:4001', 'ftp://auth-service', 'redis://a',
  'http://auth service', 'http://a:65536', '${AUTH_URL}', null, 4001,
];

for (const name of ['serviceUrl', 'revocationsUrl', 'jwksUrl']) {
  test(`an address without scheme or host is refused, and \`${name}\` named`, () => {
    for (const url of NO_ADDRESSES) {
      const options = name === 'jwksUrl' ? { secret: undefined, jwksUrl: url } : { [name]: url };
      assert.throws(() => make(options), { name: 'TypeError', message: `\`${name}\` must begin with http:// or https:// and name a host` }, String(url));
    }
  });
}

test('an address that is not of Redis is refused, and `redisUrl` named', () => {
  for (const redisUrl of ['localhost:6379', 'redis', '', ' ', 'redis:', 'redis://', 'redis:///1', 'http://redis:6379', 'redis://a b', '${REDIS_URL}', null]) {
    assert.throws(() => make({ redisUrl }), { name: 'TypeError', message: '`redisUrl` must begin with redis:// or rediss:// and name a host' }, String(redisUrl));
  }
});

test('usual addresses are taken', () => {
  for (const url of ['http://auth-service:4001', 'https://auth.example/base/', 'HTTP://127.0.0.1', 'http://[::1]:4001/', new URL('http://auth_service:4001')]) {
    make({ serviceUrl: url, revocationsUrl: url }).close();
    make({ secret: undefined, jwksUrl: url }).close();
  }
  for (const redisUrl of ['redis://127.0.0.1:1', 'rediss://:password@127.0.0.1:1/2', 'redis://user:password@[::1]:1']) make({ redisUrl }).close();
});

for (const text of [
  '${JWT_ACCESS_SECRET}', '$JWT_ACCESS_SECRET', '%JWT_ACCESS_SECRET%', '${THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE}',
  '$THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE', '%THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE%',
]) {
  test(`a placeholder that nobody replaced is no secret: ${text}`, () => {
    const message = '`secret` is a variable that was not replaced';
    assert.throws(() => make({ secret: text }), { name: 'TypeError', message });
    assert.throws(() => make({ secret: [SECRET, text] }), { name: 'TypeError', message });
  });
}

test('a secret that is no text is refused', () => {
  for (const secret of ['', [], [SECRET, ''], [undefined], [null], null, 12345678901234567890123456789012]) {
    assert.throws(() => make({ secret }), { name: 'TypeError', message: '`secret` is empty, or no text' });
  }
  for (const secret of ['a', 'ä', '$'.repeat(32), '50% of ${this} and $that, or %those%']) make({ secret }).close();
});
