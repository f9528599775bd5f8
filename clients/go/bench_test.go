package authverifier

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const benchSecret = "access-secret-of-the-tests-0123456789abcdef"

func benchToken(b *testing.B) string {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "auth-service", "sub": "0198c1a2-3b4d-7a10-9c2b-5d6e7f809112", "sid": "0198c1a2-3b4d-7a10-9c2b-5d6e7f809113",
		"stk": "0198c1a2-3b4d-4a10-9c2b-5d6e7f809114", "role": "PRO", "client_id": "auth-service", "auth_time": now.Unix(),
		"amr": []string{"pwd"}, "acr": "aal1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "1",
	})
	token.Header["typ"] = "at+jwt"
	signed, err := token.SignedString([]byte(benchSecret))
	if err != nil {
		b.Fatal(err)
	}
	return signed
}

// The library alone, configured to check what the verifier checks.
func BenchmarkLibrary(b *testing.B) {
	token := benchToken(b)
	parser := jwt.NewParser(jwt.WithIssuer("auth-service"), jwt.WithExpirationRequired(), jwt.WithValidMethods([]string{"HS256"}))
	key := func(*jwt.Token) (any, error) { return []byte(benchSecret), nil }
	b.ResetTimer()
	for range b.N {
		if _, err := parser.ParseWithClaims(token, &claims{}, key); err != nil {
			b.Fatal(err)
		}
	}
}

// The verifier, which knows of a hundred thousand endings.
func BenchmarkVerifier(b *testing.B) {
	verifier, err := New(Options{Issuer: "auth-service", Secrets: []string{benchSecret}, OnUnsure: Refuse})
	if err != nil {
		b.Fatal(err)
	}
	remember(verifier.sessions, 100_000)
	verifier.sessions.since = time.Now().Add(-time.Hour)
	verifier.sessions.upToDateAt = time.Now().Add(time.Hour)
	token := benchToken(b)
	b.ResetTimer()
	for range b.N {
		if _, err := verifier.Verify(context.Background(), token, Check{}); err != nil {
			b.Fatal(err)
		}
	}
}

// Memory for each ending.
func BenchmarkRemembered(b *testing.B) {
	const endings = 500_000
	for range b.N {
		sessions := newEndedSessions(time.Second, 0, func(Ended) {}, func(error) {})
		before := heap()
		remember(sessions, endings)
		b.ReportMetric(float64(heap()-before)/endings, "B/ending")
		runtime.KeepAlive(sessions)
	}
}

func remember(sessions *endedSessions, endings int) {
	until := time.Now().Add(time.Hour)
	for number := range endings {
		id := fmt.Sprintf("0198c1a2-3b4d-7a10-9c2b-%012x", number)
		sessions.note(ending{SessionID: id, UserID: "ada", Reason: "logout", TokensExpireAt: until})
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
