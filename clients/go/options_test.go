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

// complaint is that of New, with a good secret unless wrong changes it.
func complaint(t *testing.T, wrong func(*Options)) string {
	t.Helper()
	options := Options{Issuer: "auth-service", Secrets: []string{testSecret}, OnUnsure: Accept}
	wrong(&options)
	verifier, err := New(options)
	if err != nil {
		return err.Error()
	}
	verifier.Close()
	return ""
}

func TestAnAddressWithoutSchemeOrHostIsRefusedAndTheOptionNamed(t *testing.T) {
	for _, url := range []string{
		"localhost:4001", "auth-service", " ", "/", "//auth-service", "http:", "http://", "http:///path", "https://:4001",
		"ftp://auth-service", "redis://a", "http://auth service", "http://a:65536", "http://a:b", "http://[::1", "${AUTH_URL}", ":hunter2@a",
	} {
		for option, wrong := range map[string]func(*Options){
			"ServiceURL":     func(o *Options) { o.ServiceURL = url },
			"RevocationsURL": func(o *Options) { o.RevocationsURL = url },
			"JWKSURL":        func(o *Options) { o.JWKSURL, o.Secrets = url, nil },
		} {
			if told := complaint(t, wrong); told != "authverifier: "+option+" must begin with http:// or https:// and name a host" {
				t.Errorf("%s %q: %q", option, url, told)
			}
		}
	}
}

func TestAnAddressThatIsNotOfRedisIsRefusedAndTheOptionNamed(t *testing.T) {
	for _, url := range []string{
		"localhost:6379", "redis", " ", "redis:", "redis://", "redis:///1", "http://redis:6379", "redis://a b", "${REDIS_URL}", "redis://:hunter2@a:b",
	} {
		told := complaint(t, func(o *Options) { o.RedisURL = url })
		if told != "authverifier: RedisURL must begin with redis:// or rediss:// and name a host" {
			t.Errorf("%q: %q", url, told)
		}
	}
}

func TestUsualAddressesAreTaken(t *testing.T) {
	for _, url := range []string{"http://auth-service:4001", "https://auth.example/base/", "HTTP://127.0.0.1", "http://[::1]:4001/", "http://auth_service"} {
		if told := complaint(t, func(o *Options) { o.ServiceURL, o.RevocationsURL = url, url }); told != "" {
			t.Error(url, told)
		}
		if told := complaint(t, func(o *Options) { o.JWKSURL, o.Secrets = url, nil }); told != "" {
			t.Error(url, told)
		}
	}
	for _, url := range []string{"redis://127.0.0.1:1", "rediss://:password@127.0.0.1:1/2", "redis://user:password@[::1]:1", "unix:///run/redis.sock"} {
		if told := complaint(t, func(o *Options) { o.RedisURL = url }); told != "" {
			t.Error(url, told)
		}
	}
}

func TestAPlaceholderThatNobodyReplacedIsNoSecret(t *testing.T) {
	for _, text := range []string{
		"${JWT_ACCESS_SECRET}", "$JWT_ACCESS_SECRET", "%JWT_ACCESS_SECRET%", "${THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE}",
		"$THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE", "%THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE%",
	} {
		told := complaint(t, func(o *Options) { o.Secrets = []string{testSecret, text} })
		if told != "authverifier: a secret is a variable that was not replaced" {
			t.Errorf("%q: %q", text, told)
		}
	}
}

func TestASecretThatIsEmptyIsRefused(t *testing.T) {
	for secret, wanted := range map[string]string{
		"": "authverifier: a secret is empty", "a": "", "ä": "", strings.Repeat("$", 32): "",
		"50% of ${this} and $that, or %those%": "",
	} {
		if told := complaint(t, func(o *Options) { o.Secrets = []string{testSecret, secret} }); told != wanted {
			t.Errorf("%q: %q", secret, told)
		}
	}
}
