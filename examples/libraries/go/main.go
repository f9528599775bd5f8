// Go: golang-jwt, go-oidc, jwx.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

var errType = errors.New("not an access token")

func main() {
	var missing []string
	for _, name := range []string{"ISSUER", "AUDIENCE"} {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		log.Fatalf("not set: %s; see examples/libraries/README.md", strings.Join(missing, ", "))
	}
	ctx := context.Background()
	issuer, audience := os.Getenv("ISSUER"), os.Getenv("AUDIENCE")
	jwksURL := issuer + "/.well-known/jwks.json"

	keys, err := keyfunc.NewDefaultCtx(ctx, []string{jwksURL})
	if err != nil {
		log.Fatal(err)
	}
	parser := jwt.NewParser(jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired())
	golangJWT := func(token string) error {
		parsed, err := parser.Parse(token, keys.Keyfunc)
		// The library does not check `typ`.
		if err == nil && !isAccessToken(parsed.Header["typ"]) {
			return errType
		}
		return err
	}

	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		log.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}})
	goOIDC := func(token string) error {
		if err := checkType(token); err != nil {
			return err
		}
		_, err := verifier.Verify(ctx, token)
		return err
	}

	set, err := jwk.Fetch(ctx, jwksURL)
	if err != nil {
		log.Fatal(err)
	}
	jwx := func(token string) error {
		if err := checkType(token); err != nil {
			return err
		}
		_, err := jwxjwt.Parse([]byte(token), jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(issuer),
			jwxjwt.WithAudience(audience), jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithRequiredClaim("sid"))
		return err
	}

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for _, library := range []struct {
			name   string
			verify func(string) error
		}{{"golang-jwt", golangJWT}, {"go-oidc", goOIDC}, {"jwx", jwx}} {
			if err := library.verify(lines.Text()); err != nil {
				fmt.Println(library.name, "refused", strings.ReplaceAll(err.Error(), "\n", " "))
			} else {
				fmt.Println(library.name, "accepted")
			}
		}
	}
}

func checkType(token string) error {
	message, err := jws.Parse([]byte(token))
	if err != nil {
		return err
	}
	if typ, _ := message.Signatures()[0].ProtectedHeaders().Type(); !isAccessToken(typ) {
		return errType
	}
	return nil
}

func isAccessToken(typ any) bool {
	text, _ := typ.(string)
	return strings.EqualFold(text, "at+jwt")
}
