package authverifier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	batch      = 1000
	retryAfter = 200 * time.Millisecond
	// silence is how long a connection may be silent before it is taken for dead.
	silence = 2 * time.Second
	// slack is more than clocks of different machines differ by, and than a token is signed after its session changed.
	slack       = 5 * time.Second
	forgetEvery = time.Minute
	// tellEvery is how often it says that the events cannot be followed, at most.
	tellEvery = time.Minute
)

// Ended is a session that is over.
type Ended struct {
	SessionID string
	UserID    string
	Reason    string
}

// sessionKey is a session's id in 16 bytes: a UUID's own, of anything else a hash.
type sessionKey [16]byte

func keyOf(session string) sessionKey {
	var key sessionKey
	if len(session) == 36 {
		if _, err := hex.Decode(key[:], []byte(strings.ReplaceAll(session, "-", ""))); err == nil {
			return key
		}
	}
	hash := sha256.Sum256([]byte(session))
	copy(key[:], hash[:])
	return key
}

// remembered is an ending, in few bytes, because there may be very many.
type remembered struct {
	// until is when the session's last access token expires, in seconds; after that it may be
	// forgotten.
	until uint32
	// reason is its index in endedSessions.reasons.
	reason uint16
}

// maxReasons is how many different reasons are distinguished.
const maxReasons = 1000

// knowledge is what is known about a session.
type knowledge int

const (
	unsure knowledge = iota
	live
	over
)

// endedSessions knows which sessions are over, according to the stream of events: the one on Redis,
// or that of GET /revocations.
//
// The stream rather than Pub/Sub: both deliver an event equally fast, but only the stream still has
// it for a reader that was not listening. Every process reads the whole stream for itself; a
// consumer group would give each event to one of them.
type endedSessions struct {
	maxStaleness time.Duration
	// tolerance is how long after their expiry tokens are still accepted.
	tolerance time.Duration
	onEnded   func(Ended)
	onError   func(error)

	mu    sync.RWMutex
	ended map[sessionKey]remembered
	// reasons are the names that were received.
	reasons []string
	// confirmed are sessions that the auth service confirmed as live after reading began, and until
	// when that is of use.
	confirmed map[string]time.Time
	// since: endings before it are not known, by the clock of Redis. Zero: nothing is known.
	since time.Time
	// upToDateAt and begunAt carry Go's monotonic clock, which nobody can set.
	upToDateAt time.Time
	begunAt    time.Time

	// last is the id of the last entry that was read, or the cursor of the service; the reading goroutine's own.
	last string
	// toldAt is when it last said that the events cannot be followed; the reading goroutine's own.
	toldAt time.Time
}

func newEndedSessions(maxStaleness, tolerance time.Duration, onEnded func(Ended), onError func(error)) *endedSessions {
	return &endedSessions{
		maxStaleness: maxStaleness, tolerance: tolerance, onEnded: onEnded, onError: onError,
		ended: map[sessionKey]remembered{}, reasons: []string{"terminated"}, confirmed: map[string]time.Time{},
	}
}

// of returns what is known about the session of a token that was signed at issued.
func (s *endedSessions) of(session string, issued time.Time) (knowledge, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if found, ended := s.ended[keyOf(session)]; ended {
		return over, s.reasons[found.reason]
	}
	if !s.fresh() || s.since.IsZero() {
		return unsure, ""
	}
	// A session was live when its token was signed. If that was after since, its ending would have been read.
	if _, confirmed := s.confirmed[session]; confirmed || issued.After(s.since.Add(slack)) {
		return live, ""
	}
	return unsure, ""
}

func (s *endedSessions) fresh() bool {
	return !s.upToDateAt.IsZero() && time.Since(s.upToDateAt) < s.maxStaleness
}

func (s *endedSessions) status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Status{UpToDate: s.fresh(), Since: s.since, Remembered: len(s.ended)}
}

// confirm records that the auth service confirmed the session as live when it was asked.
func (s *endedSessions) confirm(session string, expires, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An ending after that is published after reading began, so it will be read.
	if !s.begunAt.IsZero() && asked.After(s.begunAt) {
		s.confirmed[session] = expires
	}
}

// follow reads until the context is done. A connection that breaks or falls silent is replaced
// rather than repaired, so that it is known where reading resumes.
func (s *endedSessions) follow(ctx context.Context, options *redis.Options, stream string) {
	options.MaxRetries = -1
	options.PoolSize = 1
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = silence, silence, silence
	forgot := time.Now()
	for ctx.Err() == nil {
		client := redis.NewClient(options)
		for ctx.Err() == nil {
			if time.Since(forgot) > forgetEvery {
				s.forget()
				forgot = time.Now()
			}
			if err := s.read(ctx, client, stream); err != nil {
				if ctx.Err() == nil {
					s.tell(err, time.Now())
				}
				break
			}
		}
		_ = client.Close() // there is nothing to lose
		pause(ctx)
	}
}

// tell says why the events cannot be followed: they are tried five times a second.
func (s *endedSessions) tell(err error, now time.Time) {
	if s.toldAt.IsZero() || now.Sub(s.toldAt) >= tellEvery {
		s.toldAt = now
		s.onError(err)
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryAfter):
	}
}

func (s *endedSessions) read(ctx context.Context, client *redis.Client, stream string) error {
	if s.last == "" {
		return s.begin(ctx, client, stream)
	}
	asked := time.Now()
	pipe := client.Pipeline()
	held := pipe.XRange(ctx, stream, s.last, s.last)
	// Two reads must fit into maxStaleness.
	wait := min(250*time.Millisecond, s.maxStaleness/4)
	found := pipe.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, s.last}, Count: batch, Block: wait})
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return err
	}
	// While the last entry read is still there, nothing after it was trimmed or lost with Redis.
	if len(held.Val()) == 0 {
		s.forgetPlace()
		return nil
	}
	var entries []redis.XMessage
	if streams := found.Val(); len(streams) > 0 {
		entries = streams[0].Messages
	}
	s.take(entries)
	// Everything published before this read was sent has been read, if the reply was not full.
	if len(entries) < batch {
		s.mu.Lock()
		s.upToDateAt = asked
		s.mu.Unlock()
	}
	return nil
}

// begin starts with the oldest entry. What came before it is not known; without a stream nothing is
// known.
func (s *endedSessions) begin(ctx context.Context, client *redis.Client, stream string) error {
	begun := time.Now()
	first, err := client.XRangeN(ctx, stream, "-", "+", 1).Result()
	if err != nil {
		return err
	}
	if len(first) == 0 {
		pause(ctx)
		return nil
	}
	// The id of an entry begins with the milliseconds at which it was added.
	milliseconds, err := strconv.ParseInt(strings.Split(first[0].ID, "-")[0], 10, 64)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.begunAt, s.since = begun, time.UnixMilli(milliseconds)
	s.mu.Unlock()
	s.take(first)
	return nil
}

func (s *endedSessions) forgetPlace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = ""
	s.since, s.begunAt, s.upToDateAt = time.Time{}, time.Time{}, time.Time{}
	clear(s.confirmed)
}

func (s *endedSessions) take(entries []redis.XMessage) {
	for _, entry := range entries {
		s.last = entry.ID
		data, _ := entry.Values["data"].(string)
		var event struct {
			Event string
			ending
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			s.onError(err)
			continue
		}
		if event.Event == "session.terminated" || event.Event == "session.deleted" {
			s.note(event.ending)
		}
	}
}

// ending is what is reported about a session that is over.
type ending struct {
	SessionID      string
	UserID         string
	Reason         string
	TokensExpireAt time.Time
}

func (s *endedSessions) note(event ending) {
	if event.SessionID == "" {
		return
	}
	if event.Reason == "" {
		event.Reason = "terminated"
	}
	if event.TokensExpireAt.IsZero() {
		event.TokensExpireAt = time.Now().Add(24 * time.Hour)
	}
	key := keyOf(event.SessionID)
	s.mu.Lock()
	_, known := s.ended[key]
	until := event.TokensExpireAt.Add(s.tolerance + slack).Unix()
	s.ended[key] = remembered{uint32(until), s.placeOf(event.Reason)}
	delete(s.confirmed, event.SessionID)
	s.mu.Unlock()
	if !known {
		s.onEnded(Ended{event.SessionID, event.UserID, event.Reason})
	}
}

// placeOf finds the index of the reason, or adds it; the lock must be held. It is an ending
// whatever the reason is called.
func (s *endedSessions) placeOf(reason string) uint16 {
	place := slices.Index(s.reasons, reason)
	if place < 0 && len(s.reasons) < maxReasons {
		s.reasons = append(s.reasons, reason)
		place = len(s.reasons) - 1
	}
	return uint16(max(place, 0))
}

func (s *endedSessions) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for session, found := range s.ended {
		if int64(found.until) < now.Unix() {
			delete(s.ended, session)
		}
	}
	for session, until := range s.confirmed {
		if until.Before(now) {
			delete(s.confirmed, session)
		}
	}
}
