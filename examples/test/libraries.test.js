// The programs of examples/libraries against a running service: each library accepts its tokens, and nothing else.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { join, resolve } from 'node:path';
import { freePort, run } from '../../tests/browser/support/processes.js';
import { authService, place, somebody } from './support/service.js';
import { badTokens, keysOf } from './support/tokens.js';

const FOLDER = resolve(new URL('..', import.meta.url).pathname, 'libraries');
const BUILD = resolve(FOLDER, '../../build');
const AUDIENCE = 'orders';
/** How each program is started, and the libraries it has. */
const PROGRAMS = {
  node: [['node', join(FOLDER, 'node/verify.js')], ['oauth4webapi', 'jose', 'jsonwebtoken', 'express-jwt', 'express-oauth2-jwt-bearer']],
  python: [[process.env.EXAMPLES_PYTHON ?? join(BUILD, 'examples-venv/bin/python'), join(FOLDER, 'python/verify.py')], ['PyJWT', 'Authlib', 'Authlib client']],
  go: [[process.env.GO_LIBRARIES ?? join(BUILD, 'libraries-go')], ['golang-jwt', 'go-oidc', 'jwx']],
  java: [['java', '-XX:TieredStopAtLevel=1', '-jar', join(FOLDER, 'java/target/libraries.jar')], ['Spring Security', 'java-jwt', 'Spring introspector']],
};
/** Libraries that query the service, which refuses what it would refuse itself. */
const ASKING = { node: ['oauth4webapi'], python: ['Authlib client'], java: ['Spring introspector'] };
/** Libraries that can also end a session (RFC 7009). */
const REVOKING = { node: 'oauth4webapi', python: 'Authlib client' };
/** Libraries that allow for clocks that differ by some seconds. */
const WITH_LEEWAY = ['express-oauth2-jwt-bearer', 'Spring Security'];
/** Claims that a library does not require; only a holder of the key could leave them out. */
const NOT_REQUIRED = {
  jose: ['without a user', 'without a session', 'without an end'],
  jsonwebtoken: ['without a user', 'without a session', 'without an end'],
  'express-jwt': ['without a user', 'without a session', 'without an end'],
  'express-oauth2-jwt-bearer': ['without a session'],
  'golang-jwt': ['without a user', 'without a session'],
  'go-oidc': ['without a user', 'without a session', 'without an end'],
  jwx: ['without a user'],
  'Spring Security': ['without a user', 'without a session', 'without an end'],
  'java-jwt': ['without a user', 'without a session', 'without an end'],
  Authlib: [],
  PyJWT: [],
  oauth4webapi: [],
  'Authlib client': [],
  'Spring introspector': [],
};
let here;
let service;
let good;
let bad;
let env;

before(async () => {
  here = await place(14);
  const keyFile = join(here.folder, 'es256.pem');
  await run(here.program, ['keys', 'generate', '--algorithm', 'ES256', '--out', keyFile], { cwd: here.folder });
  const port = String(await freePort());
  const issuer = `http://127.0.0.1:${port}`;
  service = await authService(here, {
    PORT: port, JWT_ISSUER: issuer, JWT_AUDIENCE: AUDIENCE, JWT_ALGORITHM: 'ES256', JWT_PRIVATE_KEY_FILE: keyFile,
  });
  const { laptop } = await somebody(service.url);
  good = laptop.token;
  bad = await badTokens(good, laptop.refreshToken, await keysOf('ES256', keyFile));
  const [key] = /ak_\w+/.exec(await service.command(['api-keys', 'create', '--scope', 'tokens:introspect']));
  const [, keyId, keySecret] = key.split('_');
  env = { PATH: process.env.PATH, ISSUER: issuer, AUDIENCE, API_KEY_ID: keyId, API_KEY_SECRET: keySecret };
});

after(() => here?.stop());

for (const [language, [command, libraries]] of Object.entries(PROGRAMS)) {
  test(`${language}: ${libraries.join(', ')}`, async () => {
    const verdicts = program(command, libraries.length);
    try {
      for (const [library, verdict] of Object.entries(await verdicts.of(good))) {
        assert.equal(verdict, 'accepted', library);
      }
      for (const [what, token] of Object.entries(bad)) {
        for (const [library, verdict] of Object.entries(await verdicts.of(token))) {
          if (NOT_REQUIRED[library].includes(what) || (WITH_LEEWAY.includes(library) && what === 'expired a second ago')) continue;
          assert.match(verdict, /^refused/, `${library}: ${what}`);
        }
      }
      const { laptop, signIn } = await somebody(service.url);
      const phone = await signIn('Phone');
      const asked = (verdicts, names) => Object.fromEntries(names.map((name) => [name, verdicts[name].split(' ')[0]]));
      const asking = ASKING[language] ?? [];
      const all = (verdict) => Object.fromEntries(asking.map((name) => [name, verdict]));
      assert.deepEqual(asked(await verdicts.of(phone.token), asking), all('accepted'));
      if (REVOKING[language]) {
        assert.equal(await verdicts.revoke(phone.refreshToken), `${REVOKING[language]} accepted`);
      } else {
        await laptop.end(phone);
      }
      assert.deepEqual(asked(await verdicts.of(phone.token), asking), all('refused'), 'its session is over');
      assert.deepEqual(asked(await verdicts.of(laptop.token), asking), all('accepted'));
    } finally {
      verdicts.stop();
    }
  });
}

for (const [language, [[command, ...args]]] of Object.entries(PROGRAMS)) {
  test(`${language}: without its variables it says in one line which are missing`, async () => {
    const child = spawn(command, args, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'ignore', 'pipe'] });
    let printed = '';
    child.stderr.on('data', (chunk) => (printed += chunk));
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 1);
    // A library may warn before.
    assert.match(printed, /not set: ISSUER, AUDIENCE[^\n]*README\.md\n$/);
    assert.doesNotMatch(printed, /Traceback|Error:|Exception|\n\s+at /);
  });
}

/** The program as a function of a token. */
function program([command, ...args], lines) {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const printed = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async of(token) {
      child.stdin.write(`${token}\n`);
      const found = {};
      for (let line = 0; line < lines; line += 1) {
        const { value, done } = await printed.next();
        if (done) throw new Error(`${command} ended`);
        const [, library, verdict] = /^(.*?) (accepted|refused.*)$/.exec(value) ?? [];
        if (!library) { line -= 1; continue; } // a warning from the library
        found[library] = verdict;
      }
      return found;
    },
    async revoke(token) {
      child.stdin.write(`revoke ${token}\n`);
      return (await printed.next()).value;
    },
    stop: () => child.kill(),
  };
}
