package authverifier

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
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

// numericDate is a number: the library's own type also accepts times written as strings (RFC 7519,
// section 2).
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

// tokenVerifier checks whether a token is one of the auth service's access tokens. Whether its
// session is live is a separate question, which no signature answers.
type tokenVerifier struct {
	secrets [][]byte
	keys    *keySet
	parser  *jwt.Parser
}

func newTokenVerifier(options Options, client *http.Client) (*tokenVerifier, error) {
	if (len(options.Secrets) == 0) == (options.JWKSURL == "") {
		return nil, errors.New("authverifier: exactly one of Secrets and JWKSURL is needed")
	}
	// Without an issuer the library does not check it.
	if options.Issuer == "" {
		return nil, errors.New("authverifier: Issuer is needed")
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
		// Never an algorithm that the token's header chooses together with its own key.
		rules = append(rules, jwt.WithValidMethods([]string{"ES256", "EdDSA", "RS256"}))
	} else {
		for _, secret := range options.Secrets {
			if err := wrongSecret(secret); err != nil {
				return nil, err
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

// otherProblem reports whether a token that has expired is also invalid in another way.
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

// isAccessToken checks the type (RFC 9068) and rejects critical extensions, none of which is
// supported here (RFC 7515, section 4.1.11).
func isAccessToken(token *jwt.Token) bool {
	if token == nil {
		return false
	}
	typ, _ := token.Header["typ"].(string)
	_, critical := token.Header["crit"]
	return !critical && strings.TrimPrefix(strings.ToLower(typ), "application/") == "at+jwt"
}
