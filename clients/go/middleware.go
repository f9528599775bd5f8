package authverifier

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

type identityKey struct{}

// RequireSession lets a request pass whose session is live; all others get the response that the
// auth service would send. The handler gets the caller with FromContext. It panics if the check is wrong.
func (v *Verifier) RequireSession(check Check, next http.Handler) http.Handler {
	if err := check.wrong(); err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, err := v.Verify(r.Context(), BearerToken(r), check)
		var refusal *AuthError
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, identity)))
		case errors.As(err, &refusal):
			refusal.Write(w)
		default:
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	})
}

// FromContext returns the caller of a request that RequireSession let pass.
func FromContext(ctx context.Context) (*Identity, bool) {
	identity, found := ctx.Value(identityKey{}).(*Identity)
	return identity, found
}

// BearerToken is the token of the Authorization header (RFC 6750, section 2.1); empty if the header is missing.
func BearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || strings.ContainsAny(token, " \t") {
		return ""
	}
	return token
}
