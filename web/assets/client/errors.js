// What can go wrong, and the most important distinction: a session that is over signs the user out;
// a temporary failure (no network, 429, 5xx) never does.
/** Maps error codes, event reasons and close reasons to the one reason shown to the user. */
const REASONS = {
    session_terminated: 'terminated',
    terminated: 'terminated',
    session_idle_timeout: 'idle_timeout',
    idle_timeout: 'idle_timeout',
    session_expired: 'expired',
    expired: 'expired',
    session_logged_out: 'logged_out',
    logged_out: 'logged_out',
    logout: 'logged_out',
    session_evicted: 'evicted',
    evicted: 'evicted',
    refresh_token_reused: 'refresh_token_reused',
    user_deleted: 'user_deleted',
    session_replaced: 'replaced',
    replaced: 'replaced',
    session_credentials_changed: 'credentials_changed',
    credentials_changed: 'credentials_changed',
};
const SESSION_OVER = new Set([
    'session_terminated',
    'session_idle_timeout',
    'session_expired',
    'session_logged_out',
    'session_evicted',
    'session_replaced',
    'session_credentials_changed',
    'refresh_token_reused',
]);
const REFRESH_LOST = new Set([
    'refresh_token_missing',
    'refresh_token_invalid',
    'refresh_token_expired',
]);
/** Whether an error code says that the session has ended, and why. */
export function isSessionOver(code) {
    return SESSION_OVER.has(code);
}
/** Whether a refresh was rejected permanently without saying how the session ended. */
export function isRefreshLost(code) {
    return REFRESH_LOST.has(code);
}
/** The reason behind an error code, an event's `reason` or a WebSocket close reason. */
export function reasonOf(codeOrReason) {
    return REASONS[codeOrReason ?? ''] ?? 'sign_in_required';
}
/** Every failure of this client. `status` is 0 when there was no response. */
export class AuthError extends Error {
    status;
    code;
    /** What is wrong with each member of the form, for `validation_failed`. */
    fields;
    retryAfterSeconds;
    /** For support: the service logs the same id. */
    requestId;
    /** The next step, where a sign-in needs more than the password. */
    step;
    constructor(init) {
        super(init.message, { cause: init.cause });
        this.name = 'AuthError';
        this.status = init.status;
        this.code = init.code;
        this.fields = init.fields ?? [];
        this.retryAfterSeconds = init.retryAfterSeconds ?? null;
        this.requestId = init.requestId ?? null;
        this.step = init.step ?? null;
    }
    /** Trying again later may work; the error says nothing about the session. */
    get temporary() {
        return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
    }
    get sessionOver() {
        return this.status === 401 && isSessionOver(this.code);
    }
    static network(cause) {
        return new AuthError({ status: 0, code: 'network', message: 'The service could not be reached.', cause });
    }
}
