// The verifier: the signature, then what the stream says about the session, then a request to the
// auth service where that is not enough.
import { EventEmitter } from 'node:events';
import { refuseUnknown, refuseWrongChecks, type CheckOptions } from './check-options.js';
import { EndedSessions, type Ended } from './ended-sessions.js';
import { AuthError } from './errors.js';
import { httpAddress, redisAddress } from './given.js';
import { tokenVerifier, type Claims, type TokenOptions } from './tokens.js';

/** How long the auth service may take to answer, in ms. */
const ASK_TIMEOUT_MS = 2000;

export interface VerifierOptions extends TokenOptions {
  /** Redis of the auth service. Without it and `apiKey` every check asks the auth service, or goes by `onUnsure`. */
  redisUrl?: string;
  /** `REDIS_PREFIX` of the auth service; `auth:` by default. */
  redisPrefix?: string;
  /** API key with the scope `tokens:introspect`, in place of `redisUrl`: endings are followed over HTTP. */
  apiKey?: string;
  /** Where endings are followed with `apiKey`; `/revocations` of `serviceUrl` by default. */
  revocationsUrl?: string | URL;
  /** Base address of the auth service, for asking about sessions. */
  serviceUrl?: string | URL;
  /** Milliseconds: knowledge older than this is not used; 1000 by default. */
  maxStaleness?: number;
  /** What to do when it is not known whether the session is live: ask the service (default), answer 503, or accept. */
  onUnsure?: 'ask' | 'refuse' | 'accept';
}

const NAMES = Object.keys({
  issuer: 0, audience: 0, jwksUrl: 0, secret: 0, clockTolerance: 0, redisUrl: 0, redisPrefix: 0, apiKey: 0, revocationsUrl: 0,
  serviceUrl: 0, maxStaleness: 0, onUnsure: 0,
} satisfies Record<keyof VerifierOptions, 0>);

export interface Identity {
  userId: string;
  sessionId: string;
  role: string | undefined;
  acr: string | undefined;
  amr: string[];
  authTime: Date | undefined;
  expiresAt: Date;
}

export interface Status {
  /** Whether an ending that happened `maxStaleness` ago is known. */
  upToDate: boolean;
  /** Since when every ending is known. */
  since: Date | undefined;
  /** How many endings are remembered. */
  remembered: number;
}

export interface VerifierEvents {
  ended: [Ended];
  /** The events cannot be followed (at once, and then at most once a minute), or one cannot be read. */
  error: [unknown];
}

export class Verifier extends EventEmitter<VerifierEvents> {
  readonly #verifyToken: (token: string) => Promise<Claims>;
  readonly #sessions: EndedSessions;
  readonly #serviceUrl: string | undefined;
  readonly #onUnsure: 'ask' | 'refuse' | 'accept';

  constructor(options: VerifierOptions) {
    super();
    refuseUnknown(options, NAMES);
    const { redisUrl, redisPrefix = 'auth:', serviceUrl, apiKey, maxStaleness = 1000 } = options;
    this.#onUnsure = options.onUnsure ?? 'ask';
    if (!['ask', 'refuse', 'accept'].includes(this.#onUnsure)) throw new TypeError('`onUnsure` is ask, refuse or accept');
    if (!(maxStaleness >= 100)) throw new RangeError('`maxStaleness` must be at least 100 ms');
    if (this.#onUnsure === 'ask' && serviceUrl === undefined) throw new TypeError('`serviceUrl` is needed to ask the auth service');
    httpAddress('serviceUrl', serviceUrl);
    httpAddress('revocationsUrl', options.revocationsUrl);
    redisAddress('redisUrl', redisUrl);
    this.#serviceUrl = serviceUrl === undefined ? undefined : String(serviceUrl).replace(/\/+$/, '');
    const revocationsUrl = options.revocationsUrl ?? (this.#serviceUrl && `${this.#serviceUrl}/revocations`);
    if (apiKey !== undefined && redisUrl !== undefined) throw new TypeError('give `redisUrl` or `apiKey`, not both');
    if (apiKey !== undefined && revocationsUrl === undefined) throw new TypeError('`apiKey` needs `serviceUrl` or `revocationsUrl`');
    this.#verifyToken = tokenVerifier(options);
    this.#sessions = new EndedSessions(
      maxStaleness,
      (options.clockTolerance ?? 0) * 1000,
      (ended) => this.emit('ended', ended),
      // A listener is optional: checks ask the auth service meanwhile.
      (error) => { if (this.listenerCount('error') > 0) this.emit('error', error); },
    );
    if (redisUrl !== undefined) void this.#sessions.follow(redisUrl, `${redisPrefix}events`);
    if (apiKey !== undefined) void this.#sessions.followService(String(revocationsUrl), apiKey);
  }

  /**
   * Checks an access token and its session.
   *
   * @throws {AuthError} 401, 403 or 503, with the headers to answer with.
   * @throws {TypeError} for options that are not those of a check.
   */
  async verify(token: string | undefined, options: CheckOptions = {}): Promise<Identity> {
    refuseWrongChecks(options);
    if (token === undefined || token === '') throw AuthError.missing();
    const claims = await this.#verifyToken(token);
    await this.#checkSession(token, claims, options.exact ?? false);
    return authorize(claims, options);
  }

  /** Checks the value of an `Authorization` header. */
  async verifyHeader(authorization: string | undefined, options: CheckOptions = {}): Promise<Identity> {
    const [, token] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    return this.verify(token, options);
  }

  get status(): Status {
    const { upToDate, since, remembered } = this.#sessions;
    return { upToDate, since, remembered };
  }

  /** Stops following the events. */
  close(): void {
    this.#sessions.close();
  }

  async #checkSession(token: string, claims: Claims, exact: boolean): Promise<void> {
    const known = this.#sessions.of(claims.sid, claims.iat);
    if (known.state === 'ended') throw AuthError.ended(known.reason);
    if (exact) return this.#ask(token, claims);
    if (known.state === 'live' || this.#onUnsure === 'accept') return;
    if (this.#onUnsure === 'refuse') throw AuthError.unavailable();
    await this.#ask(token, claims);
  }

  /** Asks whether the session is live. The auth service does not count that as activity. */
  async #ask(token: string, claims: Claims): Promise<void> {
    if (this.#serviceUrl === undefined) throw AuthError.unavailable();
    const askedAt = performance.now();
    let status: number;
    let body: { code?: string };
    try {
      const answer = await fetch(`${this.#serviceUrl}/session`, {
        headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
        redirect: 'error',
        signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
      });
      status = answer.status;
      body = (await answer.json()) as { code?: string };
    } catch (error) {
      throw AuthError.unavailable(error);
    }
    if (status === 401) throw refusal(body.code);
    if (status !== 200) throw AuthError.unavailable(new Error(`the auth service answered ${status}`));
    this.#sessions.confirm(claims.sid, claims.exp, askedAt);
  }
}

function refusal(code: string | undefined): AuthError {
  if (code === 'token_expired' || code === 'token_invalid') return AuthError.invalid(code);
  return AuthError.over(code ?? 'session_terminated');
}

function authorize(claims: Claims, { roles, acr, maxAge }: CheckOptions): Identity {
  if (roles && !roles.includes(claims.role ?? '')) throw AuthError.role();
  if (acr === 'aal2' && claims.acr !== 'aal2') throw AuthError.notFresh({ acr, ...(maxAge !== undefined && { maxAge }) });
  if (maxAge !== undefined && !(Date.now() / 1000 - (claims.auth_time ?? -Infinity) <= maxAge)) throw AuthError.notFresh({ maxAge });
  return {
    userId: claims.sub,
    sessionId: claims.sid,
    role: claims.role,
    acr: claims.acr,
    amr: claims.amr ?? [],
    authTime: claims.auth_time === undefined ? undefined : new Date(claims.auth_time * 1000),
    expiresAt: new Date(claims.exp * 1000),
  };
}
