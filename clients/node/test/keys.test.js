// Known keys continue to verify while newer ones cannot be fetched from the auth service.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { createVerifier } from '../dist/index.js';

const { issuer, audience, jwks, vectors } = JSON.parse(await readFile(new URL('../../vectors.json', import.meta.url)));
const good = vectors.find(({ verify, accepted }) => verify === 'jwks' && accepted).token;
const [head, ...rest] = good.split('.');
const another = { ...JSON.parse(Buffer.from(head, 'base64url')), kid: 'another' };
const unknown = [Buffer.from(JSON.stringify(another)).toString('base64url'), ...rest].join('.');
const MINUTE = 60_000;

let server;
let asked;
/** What the service does: answers with its keys, with 500, or not at all. */
let mode;
/** How much later it is than by the clock of the machine, in ms. */
let later;
let verifier;

beforeEach(async () => {
  [asked, later, mode] = [0, 0, 'answer'];
  server = createServer((_, response) => {
    asked += 1;
    if (mode === 'answer') response.end(JSON.stringify(jwks));
    if (mode === 'fail') response.writeHead(500).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const real = performance.now.bind(performance);
  mock.method(performance, 'now', () => real() + later);
  const jwksUrl = `http://127.0.0.1:${server.address().port}/`;
  verifier = createVerifier({ issuer, audience, jwksUrl, onUnsure: 'accept' });
});

afterEach(() => {
  mock.restoreAll();
  verifier.close();
  server.closeAllConnections();
  server.close();
});

const answer = (token) => verifier.verify(token).then(() => 200, ({ status }) => status);

test('a service that hangs holds up nobody whose key is known', async () => {
  assert.equal(await answer(good), 200);
  mode = 'hang';
  later = 6 * MINUTE;
  const began = Date.now();
  const waiting = answer(unknown);
  const answers = await Promise.all(Array.from({ length: 100 }, () => answer(good)));
  assert.ok(answers.every((status) => status === 200));
  assert.ok(Date.now() - began < 1000, 'they did not wait for the answer');
  assert.equal(await waiting, 503, 'whose key is not known waits');
  assert.equal(asked, 2, 'one fetch at a time');
});

test('old keys are replaced in time, and not used for more than an hour', async () => {
  assert.equal(await answer(good), 200);
  mode = 'fail';
  later = 59 * MINUTE;
  assert.equal(await answer(good), 200);
  later = 61 * MINUTE;
  assert.equal(await answer(good), 503);
  mode = 'answer';
  later = 62 * MINUTE;
  assert.equal(await answer(good), 200);
});

test('the first to come after a quiet time does not use a key that was taken away', async () => {
  assert.equal(await answer(good), 200);
  const { keys } = jwks;
  jwks.keys = [];
  try {
    later = 6 * MINUTE;
    assert.equal(await answer(good), 401);
  } finally {
    jwks.keys = keys;
  }
});
