package authservice.verifier;

import java.util.Map;

/** Why a request is rejected. It has everything that the response needs. */
public final class AuthException extends Exception {
    private static final long serialVersionUID = 1L;
    private static final String INVALID_TOKEN = "Bearer error=\"invalid_token\"";

    /**
     * Codes for a session that is over, by the reason in its event. An unknown reason is treated as
     * an ending too.
     */
    private static final Map<String, String> ENDED = Map.of(
            "logout", "session_logged_out",
            "idle_timeout", "session_idle_timeout",
            "expired", "session_expired",
            "evicted", "session_evicted",
            "replaced", "session_replaced",
            "refresh_token_reused", "refresh_token_reused",
            "credentials_changed", "session_credentials_changed");

    private final int status;
    private final String code;
    private final String wwwAuthenticate;
    private final Integer retryAfter;

    private AuthException(int status, String code, String detail, String wwwAuthenticate, Integer retryAfter, Throwable cause) {
        super(detail, cause);
        this.status = status;
        this.code = code;
        this.wwwAuthenticate = wwwAuthenticate;
        this.retryAfter = retryAfter;
    }

    /** HTTP status: 401, 403 or 503. */
    public int status() {
        return status;
    }

    /** Stable code, the same that the auth service uses. */
    public String code() {
        return code;
    }

    /** Value of the {@code WWW-Authenticate} header (RFC 6750, RFC 9470), or null. */
    public String wwwAuthenticate() {
        return wwwAuthenticate;
    }

    /** Seconds for the {@code Retry-After} header of a 503, or null. */
    public Integer retryAfter() {
        return retryAfter;
    }

    /** Body of the response (RFC 9457), of type {@code application/problem+json}. */
    public String problem() {
        // Code and detail are this class's own words: there is nothing to escape.
        return "{\"type\":\"urn:auth-service:error:%s\",\"status\":%d,\"code\":\"%s\",\"detail\":\"%s\"}"
                .formatted(code, status, code, getMessage());
    }

    /** No token was sent: the challenge carries no error code (RFC 6750, section 3.1). */
    public static AuthException missing() {
        return unauthorized("token_missing", "An access token is required.", "Bearer");
    }

    static AuthException invalid() {
        return unauthorized("token_invalid", "The access token is not valid.", INVALID_TOKEN);
    }

    static AuthException expired() {
        return unauthorized("token_expired", "The access token has expired.", INVALID_TOKEN);
    }

    static AuthException ended(String reason) {
        return over(ENDED.getOrDefault(reason, "session_terminated"));
    }

    /** The auth service's own error. A code that is not a plain word is not passed on. */
    static AuthException fromService(Object code) {
        if (!(code instanceof String text) || !text.matches("[a-z_]{1,64}")) {
            return over("session_terminated");
        }
        return switch (text) {
            case "token_invalid" -> invalid();
            case "token_expired" -> expired();
            default -> over(text);
        };
    }

    private static AuthException over(String code) {
        return unauthorized(code, "The session is over.", INVALID_TOKEN);
    }

    /** The role of the caller is not one of those that may do this. */
    public static AuthException role() {
        return new AuthException(403, "insufficient_scope", "The role of this user does not allow this.",
                "Bearer error=\"insufficient_scope\"", null, null);
    }

    /** The user must reauthenticate, or authenticate more strongly (RFC 9470). */
    static AuthException notFresh(String acr, Long maxAge) {
        StringBuilder challenge = new StringBuilder("Bearer error=\"insufficient_user_authentication\"");
        if (maxAge != null) {
            challenge.append(", max_age=\"").append(maxAge).append('"');
        }
        if (acr != null) {
            challenge.append(", acr_values=\"").append(acr).append('"');
        }
        return unauthorized("fresh_authentication_required", "Prove again who you are.", challenge.toString());
    }

    /**
     * Whether the session is live could not be determined: no reason to let anybody in, nor to sign
     * anybody out.
     */
    static AuthException unavailable(Throwable cause) {
        return new AuthException(503, "unavailable", "The session could not be checked; try again shortly.", null, 1, cause);
    }

    private static AuthException unauthorized(String code, String detail, String challenge) {
        return new AuthException(401, code, detail, challenge, null, null);
    }
}
