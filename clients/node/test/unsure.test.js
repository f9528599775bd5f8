// What a verifier does when it cannot know, and what it accepts as knowledge: against a service
// that answers as the test says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { createVerifier } from '../dist/index.js';

const SECRET = 'access-secret-of-the-tests-0123456789abcdef';

let service;
let verifiers;

beforeEach(async () => {
  const streams = new Set();
  const cursors = [];
  const answers = { session: 200, asked: 0, revocations: 200 };
  const server = createServer((request, response) => {
    if (request.url === '/session') {
      answers.asked += 1;
      response.writeHead(answers.session, { 'content-type': 'application/json' });
      return response.end(JSON.stringify({ code: answers.session === 401 ? 'session_terminated' : undefined }));
    }
    cursors.push(request.headers['last-event-id']);
    response.writeHead(answers.revocations, { 'content-type': 'text/event-stream' });
    if (answers.revocations !== 200) return response.end();
    response.flushHeaders();
    response.began = performance.now();
    streams.add(response);
    response.once('close', () => streams.delete(response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const send = (text) => streams.forEach((stream) => stream.write(text));
  service = {
    answers,
    cursors,
    url: `http://127.0.0.1:${server.address().port}`,
    followed: () => until('it follows', () => streams.size > 0),
    reset: (since) => send(`event: reset\ndata: ${JSON.stringify({ since: new Date(since).toISOString() })}\n\n`),
    /** Says that every ending stored up to now, or up to that many ms ago, has been sent. */
    heartbeat: (agoMs = 0, id = 'place') => streams.forEach((stream) => {
      const elapsedMs = Math.floor(performance.now() - stream.began - agoMs);
      stream.write(`event: heartbeat\nid: ${id}\ndata: ${JSON.stringify({ elapsedMs })}\n\n`);
    }),
    ended: (sessionId, reason, lasts = 60) => send(`data: ${JSON.stringify({
      sessionId, userId: 'ada', reason, tokensExpireAt: new Date(Date.now() + lasts * 1000).toISOString(),
    })}\n\n`),
    drop: () => streams.forEach((stream) => stream.destroy()),
    close: () => { server.closeAllConnections(); server.close(); },
  };
  verifiers = [];
});

afterEach(() => {
  verifiers.forEach((verifier) => verifier.close());
  service.close();
});

function verifier(options = {}) {
  const made = createVerifier({ issuer: 'auth-service', secret: SECRET, serviceUrl: service.url, apiKey: 'ak_a_b', ...options });
  verifiers.push(made);
  return made;
}

function token({ sid = 'laptop', age = 0, lasts = 900 } = {}) {
  const iat = Math.floor(Date.now() / 1000) - age;
  const claims = { sid, stk: 'x', role: 'PRO', iss: 'auth-service', sub: 'ada', iat, exp: iat + lasts, jti: sid };
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' }).sign(new TextEncoder().encode(SECRET));
}

async function until(what, holds) {
  for (let tries = 0; tries < 500; tries += 1) {
    if (holds()) return;
    await pause(10);
  }
  assert.fail(`not within five seconds: ${what}`);
}

const refusal = (promise) => promise.then(() => assert.fail('accepted'), (error) => error);

test('where nothing is known it asks, refuses or accepts, as it is configured', async () => {
  service.answers.revocations = 503;
  const [ask, refuse, accept] = ['ask', 'refuse', 'accept'].map((onUnsure) => verifier({ onUnsure }));
  assert.equal((await ask.verify(await token())).userId, 'ada');
  assert.equal(service.answers.asked, 1);
  const error = await refusal(refuse.verify(await token()));
  assert.deepEqual([error.status, error.code, error.retryAfter, error.wwwAuthenticate], [503, 'unavailable', 1, undefined]);
  assert.equal((await accept.verify(await token())).sessionId, 'laptop');
  assert.equal(service.answers.asked, 1);
  // If it cannot ask either, that is no reason to sign anybody out.
  service.answers.session = 500;
  assert.equal((await refusal(ask.verify(await token()))).status, 503);
  service.answers.session = 401;
  assert.deepEqual([(await refusal(ask.verify(await token()))).code], ['session_terminated']);
});

test('it knows since the reset, and asks once about a token that is older', async () => {
  const it = verifier();
  await service.followed();
  service.reset(Date.now() - 60_000);
  service.heartbeat();
  await until('it is up to date', () => it.status.upToDate);
  await it.verify(await token({ sid: 'phone', age: 10 }));
  assert.equal(service.answers.asked, 0);
  for (let time = 0; time < 3; time += 1) {
    service.heartbeat();
    await it.verify(await token({ age: 120 }));
  }
  assert.equal(service.answers.asked, 1);
  service.ended('laptop', 'evicted');
  service.ended('phone', 'a reason of a later version');
  await until('both are remembered', () => it.status.remembered === 2);
  const codes = [];
  for (const sid of ['laptop', 'phone']) codes.push((await refusal(it.verify(await token({ sid })))).code);
  assert.deepEqual(codes, ['session_evicted', 'session_terminated']);
});

test('a heartbeat that waited on the way does not pass for news', async () => {
  const it = verifier({ onUnsure: 'refuse' });
  await service.followed();
  service.reset(Date.now() - 60_000);
  service.heartbeat();
  await until('it is up to date', () => it.status.upToDate);
  await pause(1200);
  service.heartbeat(1100);
  await pause(100);
  assert.equal(it.status.upToDate, false);
  assert.equal((await refusal(it.verify(await token()))).status, 503);
  service.heartbeat();
  await until('it is up to date', () => it.status.upToDate);
});

test('a stream that breaks goes on from its cursor, and what was remembered stays', async () => {
  const it = verifier({ onUnsure: 'refuse' });
  await service.followed();
  service.reset(Date.now() - 60_000);
  service.ended('laptop', 'logout');
  service.heartbeat(0, 'place-7');
  await until('it is up to date', () => it.status.upToDate);
  service.drop();
  await until('it comes back', () => service.cursors.length === 2);
  assert.deepEqual(service.cursors, [undefined, 'place-7']);
  await service.followed();
  service.heartbeat();
  await until('it is up to date', () => it.status.upToDate);
  assert.equal((await refusal(it.verify(await token()))).code, 'session_logged_out');
  await it.verify(await token({ sid: 'phone' }));
});

test('its own clock may be off by as much as it allows for, and no comparison but that of `exp` uses it', async () => {
  const it = verifier({ onUnsure: 'refuse' });
  const tolerant = verifier({ onUnsure: 'refuse', clockTolerance: 35 });
  await until('both follow', () => service.cursors.length === 2);
  const soon = await token({ lasts: 20 });
  const good = await token();
  const real = Date.now;
  for (const offset of [30_000, -30_000]) {
    Date.now = () => real() + offset;
    try {
      service.reset(real() - 60_000);
      service.heartbeat();
      await until('both are up to date', () => it.status.upToDate && tolerant.status.upToDate);
      await it.verify(good);
      await tolerant.verify(soon);
    } finally {
      Date.now = real;
    }
  }
});

test('an ending is remembered for as long as a token of that session is accepted', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  try {
    const it = verifier({ clockTolerance: 60 });
    await service.followed();
    service.ended('laptop', 'logout', -30);
    service.ended('phone', 'logout', -90);
    await until('both are remembered', () => it.status.remembered === 2);
    mock.timers.tick(60_000);
    assert.equal(it.status.remembered, 1);
    assert.equal((await refusal(it.verify(await token({ lasts: -30 })))).code, 'session_logged_out');
  } finally {
    mock.timers.reset();
  }
});

test('what keeps it from following is reported at once and then once a minute, though it is tried again', async () => {
  const told = [];
  const refusing = createServer((_request, response) => response.destroy());
  let tries = 0;
  refusing.on('connection', (socket) => { tries += 1; socket.destroy(); });
  refusing.listen(0, '127.0.0.1');
  await once(refusing, 'listening');
  const real = performance.now.bind(performance);
  let later = 0;
  mock.method(performance, 'now', () => real() + later);
  try {
    service.answers.revocations = 401;
    const overHttp = verifier();
    const overRedis = verifier({ apiKey: undefined, redisUrl: `redis://127.0.0.1:${refusing.address().port}` });
    for (const [name, it] of Object.entries({ overHttp, overRedis })) it.on('error', (error) => told.push([name, error.message]));
    const triedAgain = async () => {
      const [asked, dialled] = [service.cursors.length, tries];
      await until('both have tried four times', () => service.cursors.length >= asked + 4 && tries >= dialled + 4);
    };
    await triedAgain();
    assert.deepEqual(told.map(([name]) => name).sort(), ['overHttp', 'overRedis']);
    assert.match(told.find(([name]) => name === 'overHttp')[1], /answered 401/);
    later = 60_000;
    await triedAgain();
    assert.deepEqual(told.map(([name]) => name).sort(), ['overHttp', 'overHttp', 'overRedis', 'overRedis']);
  } finally {
    mock.restoreAll();
    refusing.close();
  }
});

test('options that do not go together are refused', () => {
  const make = (options) => () => createVerifier({ issuer: 'a', secret: SECRET, ...options });
  assert.throws(make({ apiKey: 'k', redisUrl: 'redis://a', serviceUrl: 'http://a' }), /not both/);
  assert.throws(make({ apiKey: 'k', onUnsure: 'refuse' }), /revocationsUrl/);
  assert.throws(make({ onUnsure: 'ask' }), /serviceUrl/);
});
