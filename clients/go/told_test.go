package authverifier

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// told collects what OnError is called with.
type told struct {
	mu     sync.Mutex
	errors []string
}

func (c *told) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = append(c.errors, err.Error())
}

func (c *told) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errors
}

func TestAnErrorIsToldAtOnceAndThenOnceAMinute(t *testing.T) {
	errors := &told{}
	sessions := newEndedSessions(time.Second, 0, func(Ended) {}, errors.add)
	start := time.Now()
	for _, step := range []struct {
		second time.Duration
		told   int
	}{{0, 1}, {0, 1}, {59, 1}, {60, 2}, {61, 2}, {119, 2}, {125, 3}} {
		sessions.tell(net.ErrClosed, start.Add(step.second*time.Second))
		if len(errors.all()) != step.told {
			t.Fatalf("after %d s: %d", step.second, len(errors.all()))
		}
	}
}

func TestWhileRedisIsDownOneErrorIsToldThoughItIsTriedAgain(t *testing.T) {
	redis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	var tries atomic.Int32
	go func() {
		for {
			connection, err := redis.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
			_ = connection.Close()
		}
	}()
	errors := &told{}
	verifier, err := New(Options{
		Issuer: "auth-service", Secrets: []string{testSecret}, OnUnsure: Accept, RedisURL: "redis://" + redis.Addr().String(), OnError: errors.add,
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it has tried eight times", func() bool { return tries.Load() >= 8 })
	verifier.Close()
	if got := errors.all(); len(got) != 1 {
		t.Fatal(got)
	}
}

func TestWhileTheServiceRefusesTheKeyOneErrorIsTold(t *testing.T) {
	service := newFakeService(t)
	service.answer(200, 401)
	errors := &told{}
	verifier := service.verifier(t, Options{OnError: errors.add})
	until(t, "it has tried four times", func() bool { return len(service.heard()) >= 4 })
	verifier.Close()
	if got := errors.all(); len(got) != 1 || !strings.Contains(got[0], "answered 401") {
		t.Fatal(got)
	}
}
