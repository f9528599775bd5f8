package authverifier

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// trusting accepts what the token says.
func trusting(t *testing.T) *Verifier {
	t.Helper()
	verifier, err := New(Options{Issuer: "auth-service", Secrets: []string{testSecret}, OnUnsure: Accept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	return verifier
}

// ofLevel is a valid token of a user who authenticated now.
func ofLevel(t *testing.T, acr string) string {
	t.Helper()
	now := time.Now().Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "auth-service", "sub": "ada", "sid": "laptop", "role": "PRO", "acr": acr,
		"auth_time": now, "iat": now, "exp": now + 900,
	})
	token.Header["typ"] = "at+jwt"
	signed, err := token.SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// What cannot mean what it says is refused where it is written: a misspelt check would check nothing.
func TestACheckThatWouldCheckNothingIsRefused(t *testing.T) {
	verifier := trusting(t)
	for name, wrong := range map[string]struct {
		check     Check
		complaint string
	}{
		"in capitals":  {Check{ACR: "AAL2"}, "ACR is aal1 or aal2"},
		"unknown":      {Check{ACR: "aal3"}, "ACR is aal1 or aal2"},
		"with a blank": {Check{ACR: "aal2 "}, "ACR is aal1 or aal2"},
		"negative":     {Check{MaxAge: -time.Second}, "MaxAge is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, token := range []string{ofLevel(t, "aal1"), "", "nonsense"} {
				identity, err := verifier.Verify(context.Background(), token, wrong.check)
				var refusal *AuthError
				if err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), wrong.complaint) {
					t.Fatal(identity, err)
				}
			}
			defer func() {
				if made, _ := recover().(error); made == nil || !strings.Contains(made.Error(), wrong.complaint) {
					t.Fatal("a handler was made", made)
				}
			}()
			verifier.RequireSession(wrong.check, http.NotFoundHandler())
		})
	}
}

func TestLevelsAndAnEmptyListOfRoles(t *testing.T) {
	verifier := trusting(t)
	one, two := ofLevel(t, "aal1"), ofLevel(t, "aal2")
	for _, good := range []struct {
		token string
		check Check
	}{
		{one, Check{}},
		{one, Check{Roles: []string{}}},
		{one, Check{ACR: "aal1", Roles: []string{"PRO"}, MaxAge: time.Minute}},
		{two, Check{ACR: "aal1"}},
		{two, Check{ACR: "aal2"}},
	} {
		if _, err := verifier.Verify(context.Background(), good.token, good.check); err != nil {
			t.Fatal(good.check, err)
		}
	}
	for code, check := range map[string]Check{
		"fresh_authentication_required": {ACR: "aal2"}, "insufficient_scope": {Roles: []string{"PROFESSIONAL"}},
	} {
		var refusal *AuthError
		if _, err := verifier.Verify(context.Background(), one, check); !errors.As(err, &refusal) || refusal.Code != code {
			t.Fatal(check, err)
		}
	}
}

func TestAHandlerIsReachedWithALiveSessionOnly(t *testing.T) {
	verifier := trusting(t)
	handler := verifier.RequireSession(Check{ACR: "aal2"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := FromContext(r.Context())
		_, _ = w.Write([]byte(caller.UserID))
	}))
	for token, status := range map[string]int{ofLevel(t, "aal2"): 200, ofLevel(t, "aal1"): 401, "": 401} {
		request := httptest.NewRequest(http.MethodGet, "/orders", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != status {
			t.Fatal(token, answer.Code)
		}
	}
}

func TestAVerifierThatWouldCheckLessThanItSaysIsNotMade(t *testing.T) {
	for part, wrong := range map[string]func(*Options){
		"Issuer is needed":                     func(o *Options) { o.Issuer = "" },
		"OnUnsure is Ask, Refuse or Accept":    func(o *Options) { o.OnUnsure = Accept + 1 },
		"MaxStaleness must be at least 100 ms": func(o *Options) { o.MaxStaleness = -time.Second },
		"ClockTolerance is negative":           func(o *Options) { o.ClockTolerance = -time.Second },
	} {
		options := Options{Issuer: "auth-service", Secrets: []string{testSecret}, ServiceURL: "http://a", OnUnsure: Accept}
		wrong(&options)
		if _, err := New(options); err == nil || !strings.Contains(err.Error(), part) {
			t.Fatal(part, err)
		}
	}
}
