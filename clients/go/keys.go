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
	"sync"
	"time"
)

const (
	// keysFor is how long the response with the keys may be cached, so that a retired key is
	// forgotten.
	keysFor = 5 * time.Minute
	// keysForAtMost is how long keys are used if newer ones cannot be fetched.
	keysForAtMost = time.Hour
	// moment is how long the request that starts a refetch waits for it, so that no withdrawn key is
	// used after a quiet time.
	moment = 250 * time.Millisecond
	// cooldown is how soon an unknown key id triggers another fetch: not for every forged token.
	cooldown = 5 * time.Second
	// retryKeys is how soon the keys are fetched again after a failure.
	retryKeys = time.Second
	// maxKeySet is how much of a response with keys is read at most, in bytes.
	maxKeySet = 1 << 20
)

// keySet are the published keys. A check whose key is known does not wait for a service that is
// down.
type keySet struct {
	url    string
	client *http.Client

	// mu is not held while keys are fetched.
	mu      sync.Mutex
	keys    map[string]publishedKey
	fetched time.Time
	failed  time.Time
	failure error
	// fetching is closed when the running fetch is over; nil while none is running.
	fetching chan struct{}
}

type publishedKey struct {
	algorithm string
	key       any
}

func (s *keySet) key(ctx context.Context, kid, algorithm string) (any, error) {
	found, known, age := s.lookup(kid)
	switch {
	case known && age <= keysFor, !known && age <= cooldown:
	case known && age <= keysForAtMost:
		if over, started := s.fetch(); started {
			select {
			case <-over:
			case <-time.After(moment):
			case <-ctx.Done():
			}
			found, known, _ = s.lookup(kid)
		}
	default:
		// A failed fetch says nothing about the token.
		if err := s.awaitFetch(ctx); err != nil {
			return nil, errUnavailable(err)
		}
		found, known, _ = s.lookup(kid)
	}
	if !known || found.algorithm != algorithm {
		return nil, errors.New("no such key")
	}
	return found.key, nil
}

func (s *keySet) lookup(kid string) (found publishedKey, known bool, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known = s.keys[kid]
	return found, known, time.Since(s.fetched)
}

func (s *keySet) awaitFetch(ctx context.Context) error {
	over, _ := s.fetch()
	select {
	case <-over:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch starts fetching the keys, independently of the request that needs them; over is closed when
// the fetch is done. One fetch runs at a time, and a server that is down is not called for each
// request.
func (s *keySet) fetch() (over <-chan struct{}, started bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetching != nil {
		return s.fetching, false
	}
	done := make(chan struct{})
	if s.failure != nil && time.Since(s.failed) < retryKeys {
		close(done)
		return done, false
	}
	s.fetching = done
	go func() {
		keys, err := s.load()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.keys, s.fetched = keys, time.Now()
		}
		s.failure, s.failed, s.fetching = err, time.Now(), nil
		close(done)
	}()
	return done, true
}

// load takes no longer than the client's timeout.
func (s *keySet) load() (map[string]publishedKey, error) {
	answer, err := s.client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the keys were answered with %d", answer.StatusCode)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKeySet)).Decode(&set); err != nil {
		return nil, err
	}
	keys := make(map[string]publishedKey, len(set.Keys))
	for _, each := range set.Keys {
		if key, err := each.parse(); err == nil {
			keys[each.KeyID] = publishedKey{each.Algorithm, key}
		}
	}
	return keys, nil
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
