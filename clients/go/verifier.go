// Package authverifier verifies the auth service's access tokens, and rejects a session within
// MaxStaleness of its end.
package authverifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// OnUnsure is what to do when it is not known whether a session is live.
type OnUnsure int

const (
	// Ask the auth service (the default).
	Ask OnUnsure = iota
	// Refuse with 503.
	Refuse
	// Accept what the token says.
	Accept
)

const (
	askTimeout = 2 * time.Second
	maxAnswer  = 64 << 10
)

// Options of a Verifier.
type Options struct {
	// Issuer must be the claim iss: JWT_ISSUER of the auth service, else its SERVICE_NAME.
	Issuer string
	// Audience must be in the claim aud; empty where the auth service sets no JWT_AUDIENCE.
	Audience string
	// JWKSURL is where the keys are, for tokens signed with ES256, EdDSA or RS256.
	JWKSURL string
	// Secrets are JWT_ACCESS_SECRET, for tokens signed with HS256; several while it is being changed.
	Secrets []string
	// RedisURL is where the events are. Without it and APIKey every check is unsure.
	RedisURL string
	// RedisPrefix is REDIS_PREFIX of the auth service; "auth:" where empty.
	RedisPrefix string
	// APIKey has the scope tokens:introspect, in place of RedisURL: endings are followed over HTTP.
	APIKey string
	// RevocationsURL is where endings are followed with APIKey; /revocations of ServiceURL where empty.
	RevocationsURL string
	// ServiceURL is the address to ask at when the events are not enough.
	ServiceURL string
	// MaxStaleness is how old knowledge may be; one second where zero, at least 100 ms.
	MaxStaleness time.Duration
	// OnUnsure is what to do when nothing certain is known.
	OnUnsure OnUnsure
	// ClockTolerance is the leeway when exp is compared.
	ClockTolerance time.Duration
	// OnEnded is called for each session that ends, from the goroutine that reads: it must not block.
	OnEnded func(Ended)
	// OnError is called when the events cannot be followed, at once and then at most once a minute, and for
	// an event that cannot be read; checks ask the auth service meanwhile.
	OnError func(error)
}

// Identity is the caller.
type Identity struct {
	UserID    string
	SessionID string
	Role      string
	// ACR is "aal1", or "aal2" with a second factor.
	ACR string
	AMR []string
	// AuthTime is when the user last authenticated; zero if the token does not say.
	AuthTime  time.Time
	ExpiresAt time.Time
}

// Check narrows which callers are accepted.
type Check struct {
	// Roles that are accepted; all if empty.
	Roles []string
	// ACR "aal2" requires a second factor; "aal1", which every session has, requires no more than "" does.
	ACR string
	// MaxAge is how long ago the user may have authenticated; zero for any.
	MaxAge time.Duration
	// Exact always asks the auth service.
	Exact bool
}

// wrong is the error of a check that would check nothing.
func (c Check) wrong() error {
	if c.ACR != "" && c.ACR != "aal1" && c.ACR != "aal2" {
		return fmt.Errorf("authverifier: ACR is aal1 or aal2, not %q", c.ACR)
	}
	if c.MaxAge < 0 {
		return errors.New("authverifier: MaxAge is negative")
	}
	return nil
}

// Status is what the verifier knows.
type Status struct {
	// UpToDate: an ending that happened MaxStaleness ago is known.
	UpToDate bool
	// Since is when complete knowledge of endings begins; zero while that cannot be said.
	Since time.Time
	// Remembered is the number of endings in memory.
	Remembered int
}

// Verifier checks tokens and sessions. Create one per process.
type Verifier struct {
	tokens     *tokenVerifier
	sessions   *endedSessions
	serviceURL string
	onUnsure   OnUnsure
	client     *http.Client
	stop       context.CancelFunc
	reading    sync.WaitGroup
}

// New makes a verifier that follows the events until it is closed.
func New(options Options) (*Verifier, error) {
	if options.MaxStaleness == 0 {
		options.MaxStaleness = time.Second
	}
	if options.MaxStaleness < 100*time.Millisecond {
		return nil, errors.New("authverifier: MaxStaleness must be at least 100 ms")
	}
	if options.OnUnsure < Ask || options.OnUnsure > Accept {
		return nil, errors.New("authverifier: OnUnsure is Ask, Refuse or Accept")
	}
	if options.ClockTolerance < 0 {
		return nil, errors.New("authverifier: ClockTolerance is negative")
	}
	if options.OnUnsure == Ask && options.ServiceURL == "" {
		return nil, errors.New("authverifier: ServiceURL is needed to ask the auth service")
	}
	if options.APIKey != "" && options.RedisURL != "" {
		return nil, errors.New("authverifier: give RedisURL or APIKey, not both")
	}
	if options.APIKey != "" && options.RevocationsURL == "" && options.ServiceURL == "" {
		return nil, errors.New("authverifier: APIKey needs ServiceURL or RevocationsURL")
	}
	if err := options.wrong(); err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tokens, err := newTokenVerifier(options, client)
	if err != nil {
		return nil, err
	}
	onEnded, onError := options.OnEnded, options.OnError
	if onEnded == nil {
		onEnded = func(Ended) {}
	}
	if onError == nil {
		onError = func(error) {}
	}
	verifier := &Verifier{
		tokens: tokens, sessions: newEndedSessions(options.MaxStaleness, options.ClockTolerance, onEnded, onError),
		serviceURL: strings.TrimRight(options.ServiceURL, "/"), onUnsure: options.OnUnsure, client: client,
		stop: func() {},
	}
	if options.RedisURL != "" {
		if err := verifier.follow(options); err != nil {
			return nil, err
		}
	}
	if options.APIKey != "" {
		url := options.RevocationsURL
		if url == "" {
			url = verifier.serviceURL + "/revocations"
		}
		verifier.read(func(ctx context.Context) { verifier.sessions.followService(ctx, url, options.APIKey) })
	}
	return verifier, nil
}

// read runs work until the verifier is closed.
func (v *Verifier) read(work func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	v.reading.Add(1)
	go func() {
		defer v.reading.Done()
		work(ctx)
	}()
}

func (v *Verifier) follow(options Options) error {
	address, err := redis.ParseURL(options.RedisURL)
	if err != nil {
		return fmt.Errorf("authverifier: RedisURL is not an address of Redis: %w", err)
	}
	prefix := options.RedisPrefix
	if prefix == "" {
		prefix = "auth:"
	}
	v.read(func(ctx context.Context) { v.sessions.follow(ctx, address, prefix+"events") })
	return nil
}

// Close stops following the events.
func (v *Verifier) Close() {
	v.stop()
	v.reading.Wait()
}

// Status returns what the verifier knows.
func (v *Verifier) Status() Status { return v.sessions.status() }

// Verify checks an access token and its session. The error is an *AuthError, unless the check is wrong.
func (v *Verifier) Verify(ctx context.Context, token string, check Check) (*Identity, error) {
	if err := check.wrong(); err != nil {
		return nil, err
	}
	if token == "" {
		return nil, errMissing()
	}
	claims, refusal := v.tokens.verify(ctx, token)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := v.checkSession(ctx, token, claims, check.Exact); refusal != nil {
		return nil, refusal
	}
	identity, refusal := authorize(claims, check)
	if refusal != nil {
		return nil, refusal
	}
	return identity, nil
}

func (v *Verifier) checkSession(ctx context.Context, token string, claims *claims, exact bool) *AuthError {
	known, reason := v.sessions.of(claims.SessionID, claims.IssuedAt.Time)
	switch {
	case known == over:
		return errEnded(reason)
	case exact:
		return v.ask(ctx, token, claims)
	case known == live || v.onUnsure == Accept:
		return nil
	case v.onUnsure == Refuse:
		return errUnavailable(nil)
	}
	return v.ask(ctx, token, claims)
}

// ask asks whether the session is live. The auth service does not count that as activity.
func (v *Verifier) ask(ctx context.Context, token string, claims *claims) *AuthError {
	if v.serviceURL == "" {
		return errUnavailable(nil)
	}
	asked := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.serviceURL+"/session", nil)
	if err != nil {
		return errUnavailable(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := v.client.Do(request)
	if err != nil {
		return errUnavailable(err)
	}
	defer answer.Body.Close()
	var body struct{ Code string }
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&body); err != nil {
		return errUnavailable(err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		v.sessions.confirm(claims.SessionID, claims.ExpiresAt.Time, asked)
		return nil
	case http.StatusUnauthorized:
		return refusalOf(body.Code)
	}
	return errUnavailable(fmt.Errorf("the auth service answered %d", answer.StatusCode))
}

func refusalOf(code string) *AuthError {
	switch code {
	case "token_invalid":
		return errInvalid()
	case "token_expired":
		return errExpired()
	case "":
		return errOver("session_terminated")
	}
	return errOver(code)
}

func authorize(claims *claims, check Check) (*Identity, *AuthError) {
	if len(check.Roles) > 0 && !slices.Contains(check.Roles, claims.Role) {
		return nil, errRole()
	}
	if check.ACR == "aal2" && claims.ACR != "aal2" {
		return nil, errNotFresh(check.ACR, check.MaxAge)
	}
	if check.MaxAge > 0 && time.Since(time.Unix(claims.AuthTime, 0)) > check.MaxAge {
		return nil, errNotFresh("", check.MaxAge)
	}
	identity := &Identity{
		UserID: claims.Subject, SessionID: claims.SessionID, Role: claims.Role, ACR: claims.ACR, AMR: claims.AMR,
		ExpiresAt: claims.ExpiresAt.Time,
	}
	if claims.AuthTime > 0 {
		identity.AuthTime = time.Unix(claims.AuthTime, 0)
	}
	return identity, nil
}
