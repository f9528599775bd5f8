package authverifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const testSecret = "access-secret-of-the-tests-0123456789abcdef"

// fakeService answers as the test says.
type fakeService struct {
	*httptest.Server

	mu sync.Mutex
	// session and revocations are the status that is answered there.
	session, revocations int
	// asked counts the requests for a session's state.
	asked int
	// cursors came with the requests for /revocations.
	cursors []string
	streams []*fakeStream
}

type fakeStream struct {
	began time.Time
	send  chan string
	broke chan struct{}
}

func newFakeService(t *testing.T) *fakeService {
	service := &fakeService{session: http.StatusOK, revocations: http.StatusOK}
	mux := http.NewServeMux()
	mux.HandleFunc("/session", service.answerSession)
	mux.HandleFunc("/revocations", service.stream)
	service.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		service.drop()
		service.CloseClientConnections()
		service.Close()
	})
	return service
}

func (f *fakeService) answerSession(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	w.WriteHeader(f.session)
	if f.session == http.StatusUnauthorized {
		_, _ = w.Write([]byte(`{"code":"session_terminated"}`))
		return
	}
	_, _ = w.Write([]byte(`{}`))
}

func (f *fakeService) stream(w http.ResponseWriter, r *http.Request) {
	stream := &fakeStream{time.Now(), make(chan string, 16), make(chan struct{})}
	f.mu.Lock()
	f.cursors = append(f.cursors, r.Header.Get("Last-Event-ID"))
	status := f.revocations
	if status == http.StatusOK {
		f.streams = append(f.streams, stream)
	}
	f.mu.Unlock()
	w.WriteHeader(status)
	if status != http.StatusOK {
		return
	}
	flusher := http.NewResponseController(w)
	for {
		_ = flusher.Flush()
		select {
		case text := <-stream.send:
			_, _ = w.Write([]byte(text))
		case <-stream.broke:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeService) tell(text func(*fakeStream) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, stream := range f.streams {
		stream.send <- text(stream)
	}
}

// reset: endings before that time are not sent.
func (f *fakeService) reset(since time.Time) {
	data, _ := json.Marshal(map[string]any{"since": since})
	f.tell(func(*fakeStream) string { return fmt.Sprintf("event: reset\ndata: %s\n\n", data) })
}

// heartbeat: every ending stored up to that long ago has been sent.
func (f *fakeService) heartbeat(ago time.Duration, id string) {
	f.tell(func(stream *fakeStream) string {
		elapsed := (time.Since(stream.began) - ago).Milliseconds()
		return fmt.Sprintf("event: heartbeat\nid: %s\ndata: {\"elapsedMs\":%d}\n\n", id, elapsed)
	})
}

func (f *fakeService) ended(session, reason string) {
	data, _ := json.Marshal(map[string]any{
		"sessionId": session, "userId": "ada", "reason": reason, "tokensExpireAt": time.Now().Add(time.Minute),
	})
	f.tell(func(*fakeStream) string { return fmt.Sprintf("data: %s\n\n", data) })
}

// drop breaks all streams.
func (f *fakeService) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, stream := range f.streams {
		close(stream.broke)
	}
	f.streams = nil
}

func (f *fakeService) answer(session, revocations int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session, f.revocations = session, revocations
}

func (f *fakeService) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeService) followers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.streams)
}

func (f *fakeService) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.cursors)
}

// verifier follows the service.
func (f *fakeService) verifier(t *testing.T, options Options) *Verifier {
	options.Issuer, options.Secrets, options.ServiceURL, options.APIKey = "auth-service", []string{testSecret}, f.URL, "ak_a_b"
	made, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made
}

// tokenOf is a valid token of that session.
func tokenOf(t *testing.T, session string, issued time.Time, lasts time.Duration) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "auth-service", "sub": "ada", "sid": session, "stk": "x", "role": "PRO", "jti": "1",
		"iat": issued.Unix(), "exp": issued.Add(lasts).Unix(),
	})
	token.Header["typ"] = "at+jwt"
	signed, err := token.SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func accepted(t *testing.T, verifier *Verifier, token string) {
	t.Helper()
	if _, err := verifier.Verify(context.Background(), token, Check{}); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, verifier *Verifier, token string) *AuthError {
	t.Helper()
	_, err := verifier.Verify(context.Background(), token, Check{})
	var refusal *AuthError
	if !errors.As(err, &refusal) {
		t.Fatalf("not refused: %v", err)
	}
	return refusal
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 500 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within five seconds: %s", what)
}
