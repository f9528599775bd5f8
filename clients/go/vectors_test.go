package authverifier

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// Every verifier gives the same results for the same tokens.
func TestVectors(t *testing.T) {
	content, err := os.ReadFile("../vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Issuer, Audience, Secret string
		Secrets                  []string
		JWKS                     json.RawMessage
		Vectors                  []struct {
			Name, Verify, Token, Code string
			Accepted                  bool
			Status                    int
		}
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file.JWKS) }))
	defer keys.Close()
	verifiers := map[string]*Verifier{}
	for name, options := range map[string]Options{
		"secret": {Secrets: []string{file.Secret}}, "secrets": {Secrets: file.Secrets}, "jwks": {JWKSURL: keys.URL},
	} {
		options.Issuer, options.Audience, options.OnUnsure = file.Issuer, file.Audience, Accept
		if verifiers[name], err = New(options); err != nil {
			t.Fatal(err)
		}
	}
	for _, vector := range file.Vectors {
		t.Run(vector.Name, func(t *testing.T) {
			identity, err := verifiers[vector.Verify].Verify(context.Background(), vector.Token, Check{})
			if vector.Accepted {
				if err != nil || identity.SessionID != "01a20a5b-847b-755a-8579-4e203a2758dd" {
					t.Fatal(identity, err)
				}
				return
			}
			var refusal *AuthError
			if !errors.As(err, &refusal) || refusal.Status != vector.Status || refusal.Code != vector.Code ||
				refusal.WWWAuthenticate != `Bearer error="invalid_token"` {
				t.Fatal(identity, err)
			}
		})
	}
}
