// What a check costs compared with the library alone, and the memory of each remembered ending: npm
// run bench.
import { SignJWT, jwtVerify } from 'jose';
import { EndedSessions } from '../dist/ended-sessions.js';
import { createVerifier } from '../dist/index.js';

const SECRET = new TextEncoder().encode('access-secret-of-the-tests-0123456789abcdef');
const CHECKS = 20_000;
const ENDINGS = 500_000;
const id = (number) => `0198c1a2-3b4d-7a10-9c2b-${number.toString(16).padStart(12, '0')}`;

const now = Math.floor(Date.now() / 1000);
const token = await new SignJWT({
  sub: id(1), sid: id(2 ** 40), stk: id(3), role: 'PRO', client_id: 'auth-service', auth_time: now, amr: ['pwd'], acr: 'aal1',
  iss: 'auth-service', iat: now, exp: now + 3600, jti: 'one',
}).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'a' }).sign(SECRET);

/** CPU of each, the median of seven rounds. They take turns, so that a busy moment affects all of them. */
async function micros(...checks) {
  const rounds = checks.map(() => []);
  for (let round = 0; round < 7; round += 1) {
    for (const [which, check] of checks.entries()) {
      const began = process.cpuUsage();
      for (let number = 0; number < CHECKS; number += 1) await check();
      const { user, system } = process.cpuUsage(began);
      rounds[which].push((user + system) / CHECKS);
    }
  }
  return rounds.map((taken) => taken.sort((a, b) => a - b)[3]);
}

const verifier = createVerifier({ issuer: 'auth-service', secret: new TextDecoder().decode(SECRET), onUnsure: 'accept' });
const library = () => jwtVerify(token, SECRET, { issuer: 'auth-service', algorithms: ['HS256'], typ: 'at+jwt', requiredClaims: ['sub', 'sid', 'exp', 'iat'] });
const [alone, following] = await micros(library, () => verifier.verify(token));
console.log(`library alone ${alone.toFixed(1)} µs, verifier ${following.toFixed(1)} µs: ${(following / alone).toFixed(2)} ×`);

const sessions = new EndedSessions(1000, 0, () => {}, () => {});
globalThis.gc();
const before = process.memoryUsage().heapUsed;
for (let number = 0; number < ENDINGS; number += 1) sessions.note(id(number), 'logout', now + 3600);
globalThis.gc();
console.log(`an ending ${((process.memoryUsage().heapUsed - before) / ENDINGS).toFixed(0)} bytes`);
sessions.close();
