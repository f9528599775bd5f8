// Tokens that must be refused, made by an independent library, with the service's own keys where that
// makes them harder to detect.
import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SignJWT, decodeJwt, decodeProtectedHeader, exportJWK } from 'jose';
import { SECRETS } from './service.js';

const HOUR = 3600;
const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The key that signs, and one that is not the service's. */
export async function keysOf(algorithm, keyFile) {
  if (algorithm === 'HS256') {
    return { own: createSecretKey(Buffer.from(SECRETS.JWT_ACCESS_SECRET)), foreign: createSecretKey(randomBytes(32)) };
  }
  const kinds = { EdDSA: ['ed25519'], ES256: ['ec', { namedCurve: 'P-256' }], RS256: ['rsa', { modulusLength: 2048 }] };
  return { own: createPrivateKey(await readFile(keyFile)), foreign: generateKeyPairSync(...kinds[algorithm]).privateKey };
}

/** Faults, and for each a token that has only this fault. */
export async function badTokens(good, refreshToken, { own, foreign }) {
  const header = decodeProtectedHeader(good);
  const claims = decodeJwt(good);
  const now = Math.floor(Date.now() / 1000);
  const signed = (changes = {}, headerChanges = {}, key = own) => new SignJWT({ ...claims, ...changes })
    .setProtectedHeader({ ...header, ...headerChanges })
    .sign(key);
  const [head, payload, signature] = good.split('.');
  const symmetric = header.alg === 'HS256';
  const bad = {
    'no token at all': 'nonsense',
    'expired': await signed({ iat: now - 2 * HOUR, exp: now - HOUR }),
    'expired a second ago': await signed({ iat: now - 60, exp: now - 1 }),
    'signed by another key under the same key id': await signed({}, {}, foreign),
    'signed by another key under its own key id': await signed({}, { kid: 'another' }, foreign),
    'algorithm none': `${base64({ ...header, alg: 'none' })}.${payload}.`,
    'algorithm None with the signature left in place': `${base64({ ...header, alg: 'None' })}.${payload}.${signature}`,
    'a claim changed': `${head}.${base64({ ...claims, role: 'ADMIN' })}.${signature}`,
    'the signature cut off': `${head}.${payload}.`,
    'a refresh token': refreshToken,
    'a refresh token signed by the key of access tokens': await signed({ gen: 1 }, { typ: 'refresh+jwt' }),
    'a token of another type': await signed({}, { typ: 'JWT' }),
    'a token of no type': await signed({}, { typ: undefined }),
    'from another issuer': await signed({ iss: 'somebody-else' }),
    'from no issuer': await signed({ iss: undefined }),
    'for another audience': await signed({ aud: 'somebody-else' }),
    'for no audience': await signed({ aud: undefined }),
    'without a user': await signed({ sub: undefined }),
    'without a session': await signed({ sid: undefined }),
    'without an end': await signed({ exp: undefined }),
  };
  if (!symmetric) {
    bad['unknown key id'] = await signed({}, { kid: 'another' });
    const publicKey = createPublicKey(own);
    const pem = createSecretKey(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })));
    bad['HMAC with the public key as its secret'] = await signed({}, { alg: 'HS256' }, pem);
    const jwk = await exportJWK(createPublicKey(foreign));
    bad['another key, brought along in the header'] = await signed({}, { jwk, kid: undefined }, foreign);
  }
  return bad;
}
