// Whether a token is one of the auth service's access tokens. Whether its session is still live is another question,
// which no signature answers.
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

export const { AUTH_URL = 'http://localhost:4001' } = process.env;
// The same names and values as the auth service has.
const { JWT_ISSUER = 'auth-service', JWT_AUDIENCE, JWT_ALGORITHM = 'HS256', JWT_ACCESS_SECRET } = process.env;
if (JWT_ALGORITHM === 'HS256' && !JWT_ACCESS_SECRET) throw new Error('JWT_ACCESS_SECRET is needed with HS256');

// With HS256 whoever can verify can also sign: the secret makes this service as trusted as the auth service itself.
const KEY = JWT_ALGORITHM === 'HS256'
  ? new TextEncoder().encode(JWT_ACCESS_SECRET)
  // The keys are kept for 5 minutes, as the answer allows, so that a retired one is forgotten. An unknown key id has
  // them fetched before that, but not for every forged token.
  : createRemoteJWKSet(new URL(`${AUTH_URL}/.well-known/jwks.json`), { cacheMaxAge: 300_000, cooldownDuration: 5_000 });
const CHECKS = {
  // One algorithm, from the configuration: never the one the token asks for.
  algorithms: [JWT_ALGORITHM],
  // Tells an access token from all others that the same key may sign.
  typ: 'at+jwt',
  issuer: JWT_ISSUER,
  audience: JWT_AUDIENCE,
  requiredClaims: ['sub', 'sid', 'iat', 'exp'],
};
/** Other errors are that the keys could not be had, which says nothing of the token. */
const ABOUT_THE_TOKEN = /^ERR_(JWT|JWS|JOSE_ALG|JOSE_NOT_SUPPORTED|JWKS_(NO|MULTIPLE)_MATCHING)/;

/** The caller is not let in; the code tells why. */
export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** The claims of a good token; else it throws. */
export async function verify(token) {
  try {
    return (await jwtVerify(token, KEY, CHECKS)).payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new Refused('token_expired');
    if (ABOUT_THE_TOKEN.test(error.code)) throw new Refused('token_invalid');
    throw error;
  }
}
