package authverifier

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxLine is the longest line of a stream that is read.
const maxLine = 64 << 10

// followService follows endings over HTTP (GET /revocations) until the context is done. Remembered
// endings are kept when a stream ends: the next stream continues from the cursor, at any node, or
// says that it does not.
func (s *endedSessions) followService(ctx context.Context, url, apiKey string) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = silence
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	forgot := time.Now()
	for ctx.Err() == nil {
		if err := s.readService(ctx, client, url, apiKey); err != nil && ctx.Err() == nil {
			s.tell(err, time.Now())
		}
		if time.Since(forgot) > forgetEvery {
			s.forget()
			forgot = time.Now()
		}
		pause(ctx)
	}
}

func (s *endedSessions) readService(ctx context.Context, client *http.Client, url, apiKey string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The service sends something at least twice a second.
	watchdog := time.AfterFunc(silence, func() { cancel(errors.New("the stream of endings is silent")) })
	defer watchdog.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("Accept", "text/event-stream")
	if s.last != "" {
		request.Header.Set("Last-Event-ID", s.last)
	}
	requested := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnprocessableEntity {
		s.last = "" // the cursor is of another auth service
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the auth service answered %d", answer.StatusCode)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var event, data, id string
	forgot := time.Now()
	for lines.Scan() {
		watchdog.Reset(silence)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			data = value
		case "id":
			id = value
		case "":
			if err := s.hear(event, data, id, requested); err != nil {
				return err
			}
			event, data, id = "", "", ""
		}
		if time.Since(forgot) > forgetEvery {
			s.forget()
			forgot = time.Now()
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return lines.Err()
}

// hear handles one message of the service.
func (s *endedSessions) hear(event, data, id string, requested time.Time) error {
	if data == "" {
		return nil
	}
	if event == "" {
		var ending ending
		if err := json.Unmarshal([]byte(data), &ending); err != nil {
			return err
		}
		s.note(ending)
		return nil
	}
	var told struct {
		Since     time.Time
		ElapsedMs int64
	}
	if err := json.Unmarshal([]byte(data), &told); err != nil {
		return err
	}
	switch event {
	case "reset":
		s.forgetPlace()
		s.mu.Lock()
		s.begunAt, s.since = requested, told.Since
		s.mu.Unlock()
	case "heartbeat":
		s.last = id
		// The service counts from when the request reached it, which was after it was sent. So this time
		// is never too late, whatever the delays on the way.
		at := requested.Add(time.Duration(told.ElapsedMs) * time.Millisecond)
		s.mu.Lock()
		if now := time.Now(); at.After(now) {
			at = now
		}
		if at.After(s.upToDateAt) {
			s.upToDateAt = at
		}
		s.mu.Unlock()
	}
	return nil
}
