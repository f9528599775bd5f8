package authverifier

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// keysFor is how long the answer with the keys may be kept, so that a retired key is forgotten.
	keysFor = 5 * time.Minute
	// cooldown is how soon an unknown key id has them fetched again: not for every forged token.
	cooldown = 5 * time.Second
	// retryKeys is how soon the keys are asked for again after a failure.
	retryKeys = time.Second
	// maxKeySet is the most that is read of an answer with keys, in bytes.
	maxKeySet = 1 << 20
)

// claims are those of an access token.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	ExpiresAt *numericDate     `json:"exp"`
	NotBefore *numericDate     `json:"nbf"`
	IssuedAt  *numericDate     `json:"iat"`
	SessionID string           `json:"sid"`
	Role      string           `json:"role"`
	ACR       string           `json:"acr"`
	AMR       []string         `json:"amr"`
	AuthTime  int64            `json:"auth_time"`
}

func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt.date(), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.date(), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.date(), nil }

// numericDate is a number: the library's own reads times that are written as texts, too (RFC 7519, section 2).
type numericDate struct{ jwt.NumericDate }

func (d *numericDate) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] == '"' {
		return errors.New("a time is no number")
	}
	return d.NumericDate.UnmarshalJSON(data)
}

func (d *numericDate) date() *jwt.NumericDate {
	if d == nil {
		return nil
	}
	return &d.NumericDate
}

// tokenVerifier answers whether a token is one of the auth service's access tokens. Whether its session is live is
// another question, which no signature answers.
type tokenVerifier struct {
	secrets [][]byte
	keys    *keySet
	parser  *jwt.Parser
}

func newTokenVerifier(options Options, client *http.Client) (*tokenVerifier, error) {
	if (len(options.Secrets) == 0) == (options.JWKSURL == "") {
		return nil, errors.New("authverifier: exactly one of Secrets and JWKSURL is needed")
	}
	rules := []jwt.ParserOption{
		jwt.WithIssuer(options.Issuer), jwt.WithExpirationRequired(), jwt.WithLeeway(options.ClockTolerance),
	}
	if options.Audience != "" {
		rules = append(rules, jwt.WithAudience(options.Audience))
	}
	verifier := &tokenVerifier{}
	if options.JWKSURL != "" {
		verifier.keys = &keySet{url: options.JWKSURL, client: client}
		// Never an algorithm that the token's header picks together with its own key.
		rules = append(rules, jwt.WithValidMethods([]string{"ES256", "EdDSA", "RS256"}))
	} else {
		for _, secret := range options.Secrets {
			if secret == "" {
				return nil, errors.New("authverifier: a secret is empty")
			}
			verifier.secrets = append(verifier.secrets, []byte(secret))
		}
		rules = append(rules, jwt.WithValidMethods([]string{"HS256"}))
	}
	verifier.parser = jwt.NewParser(rules...)
	return verifier, nil
}

func (v *tokenVerifier) verify(ctx context.Context, token string) (*claims, *AuthError) {
	if v.keys != nil {
		return v.parse(token, func(parsed *jwt.Token) (any, error) {
			kid, _ := parsed.Header["kid"].(string)
			return v.keys.key(ctx, kid, parsed.Method.Alg())
		})
	}
	refusal := errInvalid()
	for _, secret := range v.secrets {
		found, err := v.parse(token, func(*jwt.Token) (any, error) { return secret, nil })
		if err == nil || err.Code == "token_expired" {
			return found, err
		}
	}
	return nil, refusal
}

func (v *tokenVerifier) parse(token string, key jwt.Keyfunc) (*claims, *AuthError) {
	found := &claims{}
	parsed, err := v.parser.ParseWithClaims(token, found, key)
	var unavailable *AuthError
	switch {
	case errors.As(err, &unavailable):
		return nil, unavailable
	case err != nil && errors.Is(err, jwt.ErrTokenExpired) && !otherProblem(err) && isAccessToken(parsed):
		return nil, errExpired()
	case err != nil, !isAccessToken(parsed), found.Subject == "", found.SessionID == "", found.IssuedAt == nil:
		return nil, errInvalid()
	}
	return found, nil
}

// otherProblem tells whether a token that has expired is wrong in another way too.
func otherProblem(err error) bool {
	for _, problem := range []error{
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenMalformed,
		jwt.ErrTokenUnverifiable, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, problem) {
			return true
		}
	}
	return false
}

// isAccessToken looks at the type (RFC 9068) and refuses critical extensions, none of which is known here (RFC 7515,
// section 4.1.11).
func isAccessToken(token *jwt.Token) bool {
	if token == nil {
		return false
	}
	typ, _ := token.Header["typ"].(string)
	_, critical := token.Header["crit"]
	return !critical && strings.TrimPrefix(strings.ToLower(typ), "application/") == "at+jwt"
}

// keySet are the published keys.
type keySet struct {
	url     string
	client  *http.Client
	mu      sync.Mutex
	keys    map[string]publishedKey
	fetched time.Time
	failed  time.Time
	failure error
}

type publishedKey struct {
	algorithm string
	key       any
}

func (s *keySet) key(ctx context.Context, kid, algorithm string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known := s.keys[kid]
	age := time.Since(s.fetched)
	if s.fetched.IsZero() || age > keysFor || (!known && age > cooldown) {
		// A server that is away is not asked for each request.
		if s.failure == nil || time.Since(s.failed) > retryKeys {
			s.failure, s.failed = s.fetch(ctx), time.Now()
		}
		if err := s.failure; err != nil {
			// That the keys cannot be fetched says nothing about the token.
			return nil, errUnavailable(err)
		}
		found, known = s.keys[kid]
	}
	if !known || found.algorithm != algorithm {
		return nil, errors.New("no such key")
	}
	return found.key, nil
}

func (s *keySet) fetch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the keys were answered with %d", answer.StatusCode)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKeySet)).Decode(&set); err != nil {
		return err
	}
	keys := make(map[string]publishedKey, len(set.Keys))
	for _, each := range set.Keys {
		if key, err := each.parse(); err == nil {
			keys[each.KeyID] = publishedKey{each.Algorithm, key}
		}
	}
	s.keys, s.fetched = keys, time.Now()
	return nil
}

// jwk is a public key (RFC 7517, RFC 8037).
type jwk struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	X, Y      string
	N, E      string
}

func (k jwk) parse() (any, error) {
	switch k.Algorithm {
	case "EdDSA":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("not an Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	case "ES256":
		x, errX := number(k.X)
		y, errY := number(k.Y)
		if errX != nil || errY != nil || !elliptic.P256().IsOnCurve(x, y) {
			return nil, errors.New("not a P-256 key")
		}
		return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, nil
	case "RS256":
		n, errN := number(k.N)
		e, errE := number(k.E)
		if errN != nil || errE != nil || n.BitLen() < 2048 || !e.IsInt64() {
			return nil, errors.New("not an RSA key of 2,048 bits or more")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	}
	return nil, errors.New("unknown algorithm")
}

func number(text string) (*big.Int, error) {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	return new(big.Int).SetBytes(bytes), err
}
