// Makes ../vectors.json: tokens, and what each must be answered. Every verifier package is
// tested with it. The keys are the tests' own; they protect nothing.
//
//   cd clients/node && npm ci && node ../vectors/make.mjs
import { createPublicKey, generateKeyPairSync, createHmac, sign as rawSign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../node/package.json', import.meta.url));
const { SignJWT, importPKCS8, exportJWK } = await import(require.resolve('jose'));

const FILE = new URL('../vectors.json', import.meta.url);
const ISSUER = 'auth-service';
const AUDIENCE = 'orders';
const SECRET = 'vector-secret-1-0123456789abcdef0123456789';
const PREVIOUS_SECRET = 'vector-secret-0-0123456789abcdef0123456789';
const ISSUED = 1_795_000_000;
const NEVER = 4_102_444_800; // 2100-01-01
const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

// Keys are kept when the file is made anew, so that a change of one vector changes nothing else.
const old = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : undefined;
const pem = (kind, options) => generateKeyPairSync(kind, { ...options, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }).privateKey;
const keys = old?.keys ?? {
  EdDSA: pem('ed25519'),
  ES256: pem('ec', { namedCurve: 'P-256' }),
  RS256: pem('rsa', { modulusLength: 2048 }),
  previousES256: pem('ec', { namedCurve: 'P-256' }),
  foreignEdDSA: pem('ed25519'),
  foreignES256: pem('ec', { namedCurve: 'P-256' }),
  foreignRS256: pem('rsa', { modulusLength: 2048 }),
};

const publicJwk = async (name, alg) => ({ ...(await exportJWK(createPublicKey(keys[name]))), alg, use: 'sig', kid: `key-${name}` });
const jwks = {
  keys: [
    await publicJwk('EdDSA', 'EdDSA'),
    await publicJwk('ES256', 'ES256'),
    await publicJwk('RS256', 'RS256'),
    await publicJwk('previousES256', 'ES256'),
  ],
};

const claims = (more = {}) => ({
  iss: ISSUER, aud: AUDIENCE, client_id: 'auth-service',
  sub: '01a20a5b-847b-755a-8579-4e1f09a83f01', sid: '01a20a5b-847b-755a-8579-4e203a2758dd', stk: 'da4b94a7-fc09-4aaa-9c76-ac43c4c91f64',
  role: 'STARTER', acr: 'aal1', amr: ['pwd'], auth_time: ISSUED, iat: ISSUED, exp: NEVER,
  jti: '01a20a5b-84c6-7666-8c55-0a04a7afb3ea', ...more,
});
const without = (name) => { const all = claims(); delete all[name]; return all; };

const privateKey = async (name, alg) => (alg === 'HS256' ? new TextEncoder().encode(name) : importPKCS8(keys[name], alg));
const token = async ({ alg, key, header = {}, payload = claims() }) => {
  const kid = alg === 'HS256' ? 'secret' : `key-${key}`;
  return new SignJWT(payload).setProtectedHeader({ alg, typ: 'at+jwt', kid, ...header }).sign(await privateKey(key, alg));
};

const vectors = [];
const add = (name, verify, made, expect) => vectors.push({ name, verify, token: made, ...expect });
const ACCEPTED = { accepted: true };
const INVALID = { accepted: false, status: 401, code: 'token_invalid' };
const EXPIRED = { accepted: false, status: 401, code: 'token_expired' };

for (const [alg, key] of [['HS256', SECRET], ['EdDSA', 'EdDSA'], ['ES256', 'ES256'], ['RS256', 'RS256']]) {
  const verify = alg === 'HS256' ? 'secret' : 'jwks';
  const make = (more = {}) => token({ alg, key, ...more });
  const foreign = alg === 'HS256' ? 'another-secret-0123456789abcdef012345' : `foreign${alg}`;
  const ownKid = { kid: alg === 'HS256' ? 'secret' : `key-${key}` };
  for (const role of ['STARTER', 'PRO', 'ENTERPRISE', 'ADMIN']) add(`${alg}: good, ${role}`, verify, await make({ payload: claims({ role }) }), ACCEPTED);
  add(`${alg}: good, two factors`, verify, await make({ payload: claims({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] }) }), ACCEPTED);
  add(`${alg}: good, typ in capitals`, verify, await make({ header: { typ: 'AT+JWT' } }), ACCEPTED);
  add(`${alg}: good, typ with application/`, verify, await make({ header: { typ: 'application/at+jwt' } }), ACCEPTED);
  add(`${alg}: good, audience in a list`, verify, await make({ payload: claims({ aud: ['others', AUDIENCE] }) }), ACCEPTED);
  add(`${alg}: good, unknown claims`, verify, await make({ payload: claims({ new_claim: { a: [1] } }) }), ACCEPTED);
  add(`${alg}: expired long ago`, verify, await make({ payload: claims({ iat: ISSUED - 7200, exp: ISSUED - 3600 }) }), EXPIRED);
  add(`${alg}: expires in the year 1970`, verify, await make({ payload: claims({ exp: 1 }) }), EXPIRED);
  add(`${alg}: no exp`, verify, await make({ payload: without('exp') }), INVALID);
  add(`${alg}: no sub`, verify, await make({ payload: without('sub') }), INVALID);
  add(`${alg}: no sid`, verify, await make({ payload: without('sid') }), INVALID);
  add(`${alg}: no iat`, verify, await make({ payload: without('iat') }), INVALID);
  add(`${alg}: no iss`, verify, await make({ payload: without('iss') }), INVALID);
  add(`${alg}: no aud`, verify, await make({ payload: without('aud') }), INVALID);
  add(`${alg}: wrong issuer`, verify, await make({ payload: claims({ iss: 'somebody-else' }) }), INVALID);
  add(`${alg}: issuer with a slash at its end`, verify, await make({ payload: claims({ iss: `${ISSUER}/` }) }), INVALID);
  add(`${alg}: wrong audience`, verify, await make({ payload: claims({ aud: 'payments' }) }), INVALID);
  add(`${alg}: audience that contains the right one`, verify, await make({ payload: claims({ aud: `${AUDIENCE}-2` }) }), INVALID);
  add(`${alg}: exp as a text`, verify, await raw({ alg, key, payload: claims({ exp: String(NEVER) }) }), INVALID);
  for (const typ of ['JWT', 'refresh+jwt', 'login+jwt', 'at', 'jwt+at', '']) add(`${alg}: typ ${JSON.stringify(typ)}`, verify, await make({ header: { typ } }), INVALID);
  add(`${alg}: no typ`, verify, await make({ header: { typ: undefined } }), INVALID);
  add(`${alg}: unknown crit`, verify, raw({ alg, key, header: { crit: ['x'], x: 1 } }), INVALID);
  add(`${alg}: another key under the same kid`, verify, await make({ key: foreign, header: ownKid }), INVALID);
  if (verify === 'jwks') {
    add(`${alg}: unknown kid`, verify, await make({ key: foreign }), INVALID);
    add(`${alg}: kid of another algorithm's key`, verify, await make({ header: { kid: alg === 'RS256' ? 'key-EdDSA' : 'key-RS256' } }), INVALID);
    add(`${alg}: own key in the header`, verify, await make({ key: foreign, header: { jwk: await exportJWK(createPublicKey(keys[foreign])) } }), INVALID);
    add(`${alg}: HMAC with the public key as its secret`, verify, hmac(createPublicKey(keys[key]).export({ type: 'spki', format: 'pem' }), ownKid), INVALID);
    add(`${alg}: presented where a secret is configured`, 'secret', await make(), INVALID);
  } else {
    add('HS256: presented where public keys are configured', 'jwks', await make(), INVALID);
    add('HS256: HS512 with the right secret', verify, raw({ alg: 'HS512', key }), INVALID);
    add('HS256: previous secret', 'secrets', await make({ key: PREVIOUS_SECRET }), ACCEPTED);
    add('HS256: previous secret where it is forgotten', verify, await make({ key: PREVIOUS_SECRET }), INVALID);
  }
  const good = await make();
  const [head, payload, signature] = good.split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url'));
  add(`${alg}: none`, verify, `${b64({ ...header, alg: 'none' })}.${payload}.`, INVALID);
  add(`${alg}: None, with a signature`, verify, `${b64({ ...header, alg: 'None' })}.${payload}.${signature}`, INVALID);
  add(`${alg}: no alg`, verify, `${b64({ typ: 'at+jwt' })}.${payload}.${signature}`, INVALID);
  add(`${alg}: a claim changed`, verify, `${head}.${b64(claims({ role: 'ADMIN' }))}.${signature}`, INVALID);
  add(`${alg}: signature missing`, verify, `${head}.${payload}.`, INVALID);
  add(`${alg}: two parts`, verify, `${head}.${payload}`, INVALID);
  add(`${alg}: four parts`, verify, `${good}.${signature}`, INVALID);
  add(`${alg}: another signature`, verify, `${head}.${payload}.${signature.slice(0, 10)}${signature[10] === 'A' ? 'B' : 'A'}${signature.slice(11)}`, INVALID);
  add(`${alg}: claims are no object`, verify, raw({ alg, key, payload: 'text' }), INVALID);
}
add('ES256: previous key', 'jwks', await token({ alg: 'ES256', key: 'previousES256' }), ACCEPTED);
for (const [what, text] of [['nonsense', 'nonsense'], ['dots', '..'], ['dots and letters', 'a.b.c'], ['a UUID', randomless()], ['an API key', 'ak_1_secret'], ['4 KB of letters', 'a'.repeat(4096)]]) {
  for (const verify of ['secret', 'jwks']) add(`${verify}: ${what}`, verify, text, INVALID);
}

const previous = new Map((old?.vectors ?? []).map((vector) => [vector.name, vector]));
// ECDSA signatures are random: a vector that has not changed keeps its token.
const decoded = (text) => text.split('.').slice(0, 2).join('.');
const stable = vectors.map((vector) => {
  const before = previous.get(vector.name);
  return before && decoded(before.token) === decoded(vector.token) ? { ...vector, token: before.token } : vector;
});
writeFileSync(FILE, `${JSON.stringify({ issuer: ISSUER, audience: AUDIENCE, secret: SECRET, secrets: [SECRET, PREVIOUS_SECRET], jwks, keys, vectors: stable }, null, 1)}\n`);
console.log(`${stable.length} vectors`);

/** A token put together by hand, for what the library refuses to sign. */
function raw({ alg, key, header = {}, payload = claims() }) {
  const kid = alg.startsWith('HS') ? 'secret' : `key-${key}`;
  const signed = `${b64({ alg, typ: 'at+jwt', kid, ...header })}.${b64(payload)}`;
  return `${signed}.${signatureOf(alg, key, signed)}`;
}

function signatureOf(alg, key, text) {
  if (alg.startsWith('HS')) return createHmac(alg === 'HS512' ? 'sha512' : 'sha256', key).update(text).digest('base64url');
  if (alg === 'EdDSA') return rawSign(null, Buffer.from(text), keys[key]).toString('base64url');
  if (alg === 'ES256') return rawSign('sha256', Buffer.from(text), { key: keys[key], dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return rawSign('sha256', Buffer.from(text), keys[key]).toString('base64url');
}

function hmac(secret, header) {
  const signed = `${b64({ alg: 'HS256', typ: 'at+jwt', ...header })}.${b64(claims())}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function randomless() {
  return '01a20a5b-84c6-7666-8c55-0a04a7afb3ea';
}
