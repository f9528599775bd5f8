package authverifier

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	answerKeys = iota
	// noKeys: all were withdrawn.
	noKeys
	failing
	hanging
)

// keyServer is a verifier with published keys, and the server that has them.
type keyServer struct {
	verifier *Verifier
	// mode is what the server does.
	mode atomic.Int32
	// asked counts the requests.
	asked atomic.Int32
	// good is a token signed with one of the keys, unknown one signed with another key.
	good, unknown string
}

func newKeyServer(t *testing.T) *keyServer {
	content, err := os.ReadFile("../vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Issuer, Audience string
		JWKS             json.RawMessage
		Vectors          []struct {
			Verify, Token string
			Accepted      bool
		}
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	server := &keyServer{}
	for _, vector := range file.Vectors {
		if vector.Verify == "jwks" && vector.Accepted {
			server.good = vector.Token
		}
	}
	parsed, _, err := jwt.NewParser().ParseUnverified(server.good, &claims{})
	if err != nil {
		t.Fatal(err)
	}
	parsed.Header["kid"] = "another"
	unsigned, err := parsed.SigningString()
	if err != nil {
		t.Fatal(err)
	}
	server.unknown = unsigned + ".AAAA"
	gone := make(chan struct{})
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.asked.Add(1)
		switch server.mode.Load() {
		case answerKeys:
			_, _ = w.Write(file.JWKS)
		case noKeys:
			_, _ = w.Write([]byte(`{"keys":[]}`))
		case failing:
			w.WriteHeader(http.StatusInternalServerError)
		case hanging:
			<-gone
		}
	}))
	t.Cleanup(func() { close(gone); keys.Close() })
	server.verifier, err = New(Options{Issuer: file.Issuer, Audience: file.Audience, JWKSURL: keys.URL, OnUnsure: Accept})
	if err != nil {
		t.Fatal(err)
	}
	if status := server.status(server.good); status != http.StatusOK {
		t.Fatal(status)
	}
	return server
}

// age makes the keys that old, and forgets that fetching them failed.
func (k *keyServer) age(age time.Duration) {
	set := k.verifier.tokens.keys
	set.mu.Lock()
	defer set.mu.Unlock()
	set.fetched, set.failure = time.Now().Add(-age), nil
}

func (k *keyServer) status(token string) int {
	var refusal *AuthError
	if _, err := k.verifier.Verify(context.Background(), token, Check{}); errors.As(err, &refusal) {
		return refusal.Status
	}
	return http.StatusOK
}

func TestAServiceThatHangsHoldsUpNobodyWhoseKeyIsKnown(t *testing.T) {
	server := newKeyServer(t)
	server.mode.Store(hanging)
	server.age(6 * time.Minute)
	waiting := make(chan int)
	go func() { waiting <- server.status(server.unknown) }()
	began := time.Now()
	known := make(chan int)
	for range 100 {
		go func() { known <- server.status(server.good) }()
	}
	for range 100 {
		if status := <-known; status != http.StatusOK {
			t.Fatal(status)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Fatal("they waited for ", took)
	}
	if status := <-waiting; status != http.StatusServiceUnavailable {
		t.Fatal("whose key is not known waits, and got ", status)
	}
	if asked := server.asked.Load(); asked != 2 {
		t.Fatal("more than one fetch at a time: ", asked)
	}
}

func TestOldKeysAreReplacedAndNotUsedForMoreThanAnHour(t *testing.T) {
	server := newKeyServer(t)
	for _, step := range []struct {
		mode   int32
		age    time.Duration
		status int
	}{
		{failing, 59 * time.Minute, 200},
		{failing, 61 * time.Minute, 503},
		{answerKeys, 62 * time.Minute, 200},
		// The first request after a quiet time does not use a withdrawn key.
		{noKeys, 6 * time.Minute, 401},
	} {
		server.mode.Store(step.mode)
		server.age(step.age)
		if status := server.status(server.good); status != step.status {
			t.Fatal(step, status)
		}
	}
}
