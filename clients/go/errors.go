package authverifier

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// AuthError is why a request is rejected. It has everything that the response needs.
type AuthError struct {
	// Status is the HTTP status: 401, 403 or 503.
	Status int
	// Code is stable, the same that the auth service uses.
	Code string
	// Detail says what happened, for a developer.
	Detail string
	// WWWAuthenticate is the value of that header (RFC 6750, RFC 9470); empty for none.
	WWWAuthenticate string
	// RetryAfter goes with a 503; zero for none.
	RetryAfter time.Duration
	cause      error
}

func (e *AuthError) Error() string { return e.Code + ": " + e.Detail }

// Unwrap returns what made a check impossible.
func (e *AuthError) Unwrap() error { return e.cause }

// Write responds with the status, the headers and a problem (RFC 9457).
func (e *AuthError) Write(w http.ResponseWriter) {
	if e.WWWAuthenticate != "" {
		w.Header().Set("WWW-Authenticate", e.WWWAuthenticate)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	// The client may be gone; there is nobody else to report to.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "urn:auth-service:error:" + e.Code, "status": e.Status, "code": e.Code, "detail": e.Detail,
	})
}

const invalidToken = `Bearer error="invalid_token"`

// Codes for a session that is over, by the reason in its event. An unknown reason is treated as an
// ending too.
var endedCodes = map[string]string{
	"logout":               "session_logged_out",
	"idle_timeout":         "session_idle_timeout",
	"expired":              "session_expired",
	"evicted":              "session_evicted",
	"replaced":             "session_replaced",
	"refresh_token_reused": "refresh_token_reused",
	"credentials_changed":  "session_credentials_changed",
}

func errMissing() *AuthError {
	// No token was sent: the challenge carries no error code (RFC 6750, section 3.1).
	return &AuthError{Status: 401, Code: "token_missing", Detail: "An access token is required.", WWWAuthenticate: "Bearer"}
}

func errInvalid() *AuthError {
	return &AuthError{Status: 401, Code: "token_invalid", Detail: "The access token is not valid.", WWWAuthenticate: invalidToken}
}

func errExpired() *AuthError {
	return &AuthError{Status: 401, Code: "token_expired", Detail: "The access token has expired.", WWWAuthenticate: invalidToken}
}

func errEnded(reason string) *AuthError {
	code, known := endedCodes[reason]
	if !known {
		code = "session_terminated"
	}
	return errOver(code)
}

// errOver has the auth service's own code for a session that is over.
func errOver(code string) *AuthError {
	return &AuthError{Status: 401, Code: code, Detail: "The session is over.", WWWAuthenticate: invalidToken}
}

func errRole() *AuthError {
	return &AuthError{
		Status: 403, Code: "insufficient_scope", Detail: "The role of this user does not allow this.",
		WWWAuthenticate: `Bearer error="insufficient_scope"`,
	}
}

// errNotFresh asks the user to reauthenticate, or to authenticate more strongly (RFC 9470).
func errNotFresh(acr string, maxAge time.Duration) *AuthError {
	parts := []string{`Bearer error="insufficient_user_authentication"`}
	if maxAge > 0 {
		parts = append(parts, fmt.Sprintf(`max_age="%d"`, int(maxAge.Seconds())))
	}
	if acr != "" {
		parts = append(parts, fmt.Sprintf(`acr_values="%s"`, acr))
	}
	return &AuthError{
		Status: 401, Code: "fresh_authentication_required", Detail: "Prove again who you are.",
		WWWAuthenticate: strings.Join(parts, ", "),
	}
}

// errUnavailable: whether the session is live could not be determined. That is no reason to let
// anybody in, nor to sign anybody out.
func errUnavailable(cause error) *AuthError {
	return &AuthError{
		Status: 503, Code: "unavailable", Detail: "The session could not be checked; try again shortly.",
		RetryAfter: time.Second, cause: cause,
	}
}
