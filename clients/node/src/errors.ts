// Why a request is rejected. The error has everything that a framework needs to respond.

/**
 * Codes for a session that is over, by the reason in its event; an unknown reason is treated as an
 * ending too.
 */
const ENDED: Record<string, string> = {
  logout: 'session_logged_out',
  idle_timeout: 'session_idle_timeout',
  expired: 'session_expired',
  evicted: 'session_evicted',
  replaced: 'session_replaced',
  refresh_token_reused: 'refresh_token_reused',
  credentials_changed: 'session_credentials_changed',
};

export class AuthError extends Error {
  /** HTTP status: 401, 403 or 503. */
  readonly status: number;
  /** Stable code, the same that the auth service uses. */
  readonly code: string;
  /** Value of the `WWW-Authenticate` header (RFC 6750, RFC 9470). */
  readonly wwwAuthenticate: string | undefined;
  /** Seconds for the `Retry-After` header of a 503. */
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string, message: string, more: { wwwAuthenticate?: string; retryAfter?: number; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'AuthError';
    this.status = status;
    this.code = code;
    this.wwwAuthenticate = more.wwwAuthenticate;
    this.retryAfter = more.retryAfter;
  }

  /** Headers of the response. */
  get headers(): Record<string, string> {
    return {
      ...(this.wwwAuthenticate !== undefined && { 'www-authenticate': this.wwwAuthenticate }),
      ...(this.retryAfter !== undefined && { 'retry-after': String(this.retryAfter) }),
    };
  }

  /** Body of the response (RFC 9457). */
  get problem(): { type: string; status: number; code: string; detail: string } {
    return { type: `urn:auth-service:error:${this.code}`, status: this.status, code: this.code, detail: this.message };
  }

  /** No token was sent: the challenge carries no error code (RFC 6750, section 3.1). */
  static missing(): AuthError {
    return new AuthError(401, 'token_missing', 'An access token is required.', { wwwAuthenticate: 'Bearer' });
  }

  static invalid(code: 'token_invalid' | 'token_expired'): AuthError {
    const message = code === 'token_expired' ? 'The access token has expired.' : 'The access token is not valid.';
    return new AuthError(401, code, message, { wwwAuthenticate: 'Bearer error="invalid_token"' });
  }

  static ended(reason: string | undefined): AuthError {
    return AuthError.over(ENDED[reason ?? ''] ?? 'session_terminated');
  }

  /** The auth service's own code for a session that is over. */
  static over(code: string): AuthError {
    return new AuthError(401, code, 'The session is over.', { wwwAuthenticate: 'Bearer error="invalid_token"' });
  }

  static role(): AuthError {
    return new AuthError(403, 'insufficient_scope', 'The role of this user does not allow this.', {
      wwwAuthenticate: 'Bearer error="insufficient_scope"',
    });
  }

  /** The user must reauthenticate, or authenticate more strongly (RFC 9470). */
  static notFresh(requirement: { acr?: string; maxAge?: number }): AuthError {
    const parts = ['Bearer error="insufficient_user_authentication"'];
    if (requirement.maxAge !== undefined) parts.push(`max_age="${requirement.maxAge}"`);
    if (requirement.acr !== undefined) parts.push(`acr_values="${requirement.acr}"`);
    return new AuthError(401, 'fresh_authentication_required', 'Prove again who you are.', { wwwAuthenticate: parts.join(', ') });
  }

  /**
   * Whether the session is live could not be determined: no reason to let anybody in, nor to sign
   * anybody out.
   */
  static unavailable(cause?: unknown): AuthError {
    return new AuthError(503, 'unavailable', 'The session could not be checked; try again shortly.', { retryAfter: 1, cause });
  }
}
