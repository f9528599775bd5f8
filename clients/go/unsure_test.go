package authverifier

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const lifetime = 15 * time.Minute

func TestWhereNothingIsKnownItAsksRefusesOrAccepts(t *testing.T) {
	service := newFakeService(t)
	service.answer(http.StatusOK, http.StatusServiceUnavailable)
	ask := service.verifier(t, Options{})
	refuse := service.verifier(t, Options{OnUnsure: Refuse})
	accept := service.verifier(t, Options{OnUnsure: Accept})
	token := tokenOf(t, "laptop", time.Now(), lifetime)
	accepted(t, ask, token)
	refusal := refused(t, refuse, token)
	if refusal.Status != 503 || refusal.Code != "unavailable" || refusal.RetryAfter != time.Second || refusal.WWWAuthenticate != "" {
		t.Fatal(refusal)
	}
	accepted(t, accept, token)
	if service.questions() != 1 {
		t.Fatal(service.questions())
	}
	// If it cannot ask either, that is no reason to sign anybody out.
	service.answer(http.StatusInternalServerError, http.StatusServiceUnavailable)
	if refusal := refused(t, ask, token); refusal.Status != 503 {
		t.Fatal(refusal)
	}
	service.answer(http.StatusUnauthorized, http.StatusServiceUnavailable)
	if refusal := refused(t, ask, token); refusal.Status != 401 || refusal.Code != "session_terminated" {
		t.Fatal(refusal)
	}
}

func TestItKnowsSinceTheResetAndAsksOnceAboutAnOlderToken(t *testing.T) {
	service := newFakeService(t)
	verifier := service.verifier(t, Options{})
	follow(t, service, verifier, time.Now().Add(-time.Minute))
	accepted(t, verifier, tokenOf(t, "phone", time.Now().Add(-10*time.Second), lifetime))
	if service.questions() != 0 {
		t.Fatal("it asked about a token that is younger than the reset")
	}
	old := tokenOf(t, "laptop", time.Now().Add(-2*time.Minute), lifetime)
	for range 3 {
		service.heartbeat(0, "place")
		accepted(t, verifier, old)
	}
	if service.questions() != 1 {
		t.Fatal(service.questions())
	}
	service.ended("laptop", "evicted")
	service.ended("phone", "a reason of a later version")
	until(t, "both are remembered", func() bool { return verifier.Status().Remembered == 2 })
	for session, code := range map[string]string{"laptop": "session_evicted", "phone": "session_terminated"} {
		if refusal := refused(t, verifier, tokenOf(t, session, time.Now(), lifetime)); refusal.Code != code {
			t.Fatal(refusal)
		}
	}
}

func TestAHeartbeatThatWaitedOnTheWayIsNoNews(t *testing.T) {
	service := newFakeService(t)
	verifier := service.verifier(t, Options{OnUnsure: Refuse})
	follow(t, service, verifier, time.Now().Add(-time.Minute))
	until(t, "its knowledge is old", func() bool { return !verifier.Status().UpToDate })
	service.heartbeat(1100*time.Millisecond, "place")
	service.ended("phone", "logout")
	until(t, "it was heard", func() bool { return verifier.Status().Remembered == 1 })
	if verifier.Status().UpToDate {
		t.Fatal("it passed for news")
	}
	if refusal := refused(t, verifier, tokenOf(t, "laptop", time.Now(), lifetime)); refusal.Status != 503 {
		t.Fatal(refusal)
	}
	service.heartbeat(0, "place")
	until(t, "it is up to date", func() bool { return verifier.Status().UpToDate })
}

func TestABrokenStreamGoesOnFromItsCursorAndKeepsWhatItRemembered(t *testing.T) {
	service := newFakeService(t)
	verifier := service.verifier(t, Options{OnUnsure: Refuse})
	until(t, "it follows", func() bool { return service.followers() == 1 })
	service.reset(time.Now().Add(-time.Minute))
	service.ended("laptop", "logout")
	service.heartbeat(0, "place-7")
	until(t, "it is up to date", func() bool { return verifier.Status().UpToDate })
	service.drop()
	until(t, "it comes back", func() bool { return service.followers() == 1 })
	if cursors := service.heard(); !slices.Equal(cursors, []string{"", "place-7"}) {
		t.Fatal(cursors)
	}
	service.heartbeat(0, "place-8")
	until(t, "it is up to date", func() bool { return verifier.Status().UpToDate })
	if refusal := refused(t, verifier, tokenOf(t, "laptop", time.Now(), lifetime)); refusal.Code != "session_logged_out" {
		t.Fatal(refusal)
	}
	accepted(t, verifier, tokenOf(t, "phone", time.Now(), lifetime))
}

// The service's clock differs. Only exp is compared with the verifier's own clock.
func TestItsOwnClockMayBeOffByAsMuchAsItAllowsFor(t *testing.T) {
	for _, offset := range []time.Duration{30 * time.Second, -30 * time.Second} {
		service := newFakeService(t)
		verifier := service.verifier(t, Options{OnUnsure: Refuse})
		tolerant := service.verifier(t, Options{OnUnsure: Refuse, ClockTolerance: 35 * time.Second})
		until(t, "both follow", func() bool { return service.followers() == 2 })
		there := time.Now().Add(offset)
		service.reset(there.Add(-time.Minute))
		service.heartbeat(0, "place")
		until(t, "both are up to date", func() bool { return verifier.Status().UpToDate && tolerant.Status().UpToDate })
		accepted(t, verifier, tokenOf(t, "laptop", there, lifetime))
		accepted(t, tolerant, tokenOf(t, "laptop", there, 20*time.Second))
	}
}

func TestAnEndingIsRememberedForAsLongAsATokenIsAccepted(t *testing.T) {
	service := newFakeService(t)
	verifier := service.verifier(t, Options{ClockTolerance: time.Minute})
	for session, ago := range map[string]time.Duration{"laptop": 30 * time.Second, "phone": 90 * time.Second} {
		verifier.sessions.note(ending{SessionID: session, Reason: "logout", TokensExpireAt: time.Now().Add(-ago)})
	}
	verifier.sessions.forget()
	if remembered := verifier.Status().Remembered; remembered != 1 {
		t.Fatal(remembered)
	}
	expired := tokenOf(t, "laptop", time.Now().Add(-lifetime-30*time.Second), lifetime)
	if refusal := refused(t, verifier, expired); refusal.Code != "session_logged_out" {
		t.Fatal(refusal)
	}
}

func TestOptionsThatDoNotGoTogetherAreRefused(t *testing.T) {
	for part, options := range map[string]Options{
		"not both":       {APIKey: "k", RedisURL: "redis://a", ServiceURL: "http://a"},
		"RevocationsURL": {APIKey: "k", OnUnsure: Refuse},
		"ServiceURL":     {},
		"MaxStaleness":   {ServiceURL: "http://a", MaxStaleness: time.Millisecond},
	} {
		options.Issuer, options.Secrets = "a", []string{testSecret}
		if _, err := New(options); err == nil || !strings.Contains(err.Error(), part) {
			t.Fatal(part, err)
		}
	}
	if _, err := New(Options{Issuer: "a", OnUnsure: Accept, Secrets: []string{testSecret}, JWKSURL: "http://a"}); err == nil {
		t.Fatal("two kinds of keys")
	}
}

// follow tells the verifier that all endings since then have been sent.
func follow(t *testing.T, service *fakeService, verifier *Verifier, since time.Time) {
	t.Helper()
	until(t, "it follows", func() bool { return service.followers() == 1 })
	service.reset(since)
	service.heartbeat(0, "place")
	until(t, "it is up to date", func() bool { return verifier.Status().UpToDate })
}
