// Whether a token is one of the auth service's access tokens. Whether its session is live is a
// separate question, which no signature answers.
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { AuthError } from './errors.js';
import { httpAddress, knownToNobody } from './given.js';
import { publishedKeys } from './published-keys.js';

export interface TokenOptions {
  /** `JWT_ISSUER` of the auth service; its `SERVICE_NAME` where that is not set. */
  issuer: string;
  /** `JWT_AUDIENCE`, where the auth service sets one. */
  audience?: string;
  /** Address of the JWKS, for tokens signed with EdDSA, ES256 or RS256. */
  jwksUrl?: string | URL;
  /** `JWT_ACCESS_SECRET`, for tokens signed with HS256; several while the secret is being changed. */
  secret?: string | readonly string[];
  /** Seconds by which this machine's clock may be behind or ahead when `exp` is compared; 0 by default. */
  clockTolerance?: number;
}

/** The claims that every access token has. */
export interface Claims extends JWTPayload {
  sub: string;
  sid: string;
  iat: number;
  exp: number;
  role?: string;
  acr?: string;
  amr?: string[];
  auth_time?: number;
}

/** Public-key algorithms; never one that the token's header chooses together with its own key. */
const ASYMMETRIC = ['ES256', 'EdDSA', 'RS256'];
/** The library's other errors mean that the keys could not be fetched, which says nothing about the token. */
const ABOUT_THE_TOKEN = /^ERR_(JWT|JWS|JOSE_ALG|JOSE_NOT_SUPPORTED|JWKS_(NO|MULTIPLE)_MATCHING)/;

export function tokenVerifier(options: TokenOptions): (token: string) => Promise<Claims> {
  const { issuer, audience, clockTolerance = 0 } = options;
  // Without an issuer or an audience the library does not check them.
  if (!issuer) throw new TypeError('`issuer` is needed');
  if (audience !== undefined && !audience) throw new TypeError('`audience` is empty');
  if (!(Number.isFinite(clockTolerance) && clockTolerance >= 0)) throw new TypeError('`clockTolerance` is a number of seconds');
  const checks = {
    typ: 'at+jwt',
    issuer,
    ...(audience !== undefined && { audience }),
    requiredClaims: ['sub', 'sid', 'iat', 'exp'],
    clockTolerance,
  };
  const keys = keysOf(options);
  return async (token) => {
    let refusal: AuthError | undefined;
    for (const { key, algorithms } of keys) {
      try {
        const verified = typeof key === 'function'
          ? await jwtVerify(token, key, { ...checks, algorithms })
          : await jwtVerify(token, key, { ...checks, algorithms });
        return verified.payload as Claims;
      } catch (error) {
        if (error instanceof errors.JWTExpired) return Promise.reject(AuthError.invalid('token_expired'));
        if (!(error instanceof errors.JOSEError) || !ABOUT_THE_TOKEN.test(error.code)) throw AuthError.unavailable(error);
        refusal = AuthError.invalid('token_invalid');
      }
    }
    throw refusal ?? AuthError.invalid('token_invalid');
  };
}

function keysOf(options: TokenOptions): { key: Uint8Array | JWTVerifyGetKey; algorithms: string[] }[] {
  if ((options.secret === undefined) === (options.jwksUrl === undefined)) {
    throw new TypeError('createVerifier needs exactly one of `secret` and `jwksUrl`');
  }
  if (options.secret !== undefined) {
    const secrets = typeof options.secret === 'string' ? [options.secret] : options.secret;
    return knownToNobody('secret', secrets).map((secret) => ({ key: new TextEncoder().encode(secret), algorithms: ['HS256'] }));
  }
  return [{ key: publishedKeys(new URL(httpAddress('jwksUrl', options.jwksUrl as string | URL))), algorithms: ASYMMETRIC }];
}
