package authservice.verifier;

import static authservice.verifier.FakeService.token;
import static authservice.verifier.FakeService.until;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import authservice.verifier.VerifierOptions.OnUnsure;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a verifier does when it cannot know, and what it accepts as knowledge. */
class UnsureTest {
    private static final Duration LONG = Duration.ofMinutes(15);

    private final List<Verifier> made = new ArrayList<>();
    private FakeService service;

    @BeforeEach
    void start() throws IOException {
        service = new FakeService();
    }

    @AfterEach
    void stop() throws IOException {
        made.forEach(Verifier::close);
        service.close();
    }

    private static VerifierOptions options() {
        return new VerifierOptions("auth-service").secrets(FakeService.SECRET);
    }

    private Verifier verifier(VerifierOptions options) {
        Verifier verifier = new Verifier(options.serviceUrl(service.url).apiKey("ak_a_b"));
        made.add(verifier);
        return verifier;
    }

    private static AuthException refusal(Verifier verifier, String token) {
        return assertThrows(AuthException.class, () -> verifier.verify(token, Check.ANY));
    }

    /** Tells all verifiers that every ending since then has been sent. */
    private void follow(Instant since) throws InterruptedException {
        until("they follow", () -> service.followers() == made.size());
        service.reset(since);
        service.heartbeat(Duration.ZERO, "place");
        until("they are up to date", () -> made.stream().allMatch(verifier -> verifier.status().upToDate()));
    }

    private static Instant ago(long seconds) {
        return Instant.now().minusSeconds(seconds);
    }

    @Test
    void whereNothingIsKnownItAsksRefusesOrAccepts() throws Exception {
        service.revocations = 503;
        Verifier ask = verifier(options());
        Verifier refuse = verifier(options().onUnsure(OnUnsure.REFUSE));
        Verifier accept = verifier(options().onUnsure(OnUnsure.ACCEPT));
        String token = token("laptop", Instant.now(), LONG);
        assertEquals("ada", ask.verify(token, Check.ANY).userId());
        AuthException error = refusal(refuse, token);
        assertEquals(503, error.status());
        assertEquals("unavailable", error.code());
        assertEquals(1, error.retryAfter());
        assertNull(error.wwwAuthenticate());
        assertEquals("laptop", accept.verify(token, Check.ANY).sessionId());
        assertEquals(1, service.asked.get());
        // If it cannot ask either, that is no reason to sign anybody out.
        service.session = 500;
        assertEquals(503, refusal(ask, token).status());
        service.session = 401;
        assertEquals("session_terminated", refusal(ask, token).code());
    }

    @Test
    void itKnowsSinceTheResetAndAsksOnceAboutAnOlderToken() throws Exception {
        Verifier it = verifier(options());
        follow(ago(60));
        it.verify(token("phone", ago(10), LONG), Check.ANY);
        assertEquals(0, service.asked.get());
        for (int time = 0; time < 3; time++) {
            service.heartbeat(Duration.ZERO, "place");
            it.verify(token("laptop", ago(120), LONG), Check.ANY);
        }
        assertEquals(1, service.asked.get());
        service.ended("laptop", "evicted");
        service.ended("phone", "a reason of a later version");
        until("both are remembered", () -> it.status().remembered() == 2);
        assertEquals("session_evicted", refusal(it, token("laptop", Instant.now(), LONG)).code());
        assertEquals("session_terminated", refusal(it, token("phone", Instant.now(), LONG)).code());
    }

    @Test
    void aHeartbeatThatWaitedOnTheWayIsNoNews() throws Exception {
        Verifier it = verifier(options().onUnsure(OnUnsure.REFUSE));
        follow(ago(60));
        until("its knowledge is old", () -> !it.status().upToDate());
        service.heartbeat(Duration.ofMillis(1100), "place");
        service.ended("phone", "logout");
        until("it was heard", () -> it.status().remembered() == 1);
        assertFalse(it.status().upToDate());
        assertEquals(503, refusal(it, token("laptop", Instant.now(), LONG)).status());
        service.heartbeat(Duration.ZERO, "place");
        until("it is up to date", () -> it.status().upToDate());
    }

    @Test
    void aBrokenStreamGoesOnFromItsCursorAndKeepsWhatItRemembered() throws Exception {
        Verifier it = verifier(options().onUnsure(OnUnsure.REFUSE));
        follow(ago(60));
        service.heartbeat(Duration.ZERO, "place-7");
        service.ended("laptop", "logout");
        until("it is remembered", () -> it.status().remembered() == 1);
        service.drop();
        until("it comes back", () -> service.followers() == 1);
        assertEquals(List.of("", "place-7"), service.cursors);
        service.heartbeat(Duration.ZERO, "place-8");
        until("it is up to date", () -> it.status().upToDate());
        assertEquals("session_logged_out", refusal(it, token("laptop", Instant.now(), LONG)).code());
        it.verify(token("phone", Instant.now(), LONG), Check.ANY);
    }

    /** The service's clock differs. Only {@code exp} is compared with the verifier's own clock. */
    @ParameterizedTest
    @ValueSource(longs = {30, -30})
    void itsOwnClockMayBeOffByAsMuchAsItAllowsFor(long offset) throws Exception {
        Verifier it = verifier(options().onUnsure(OnUnsure.REFUSE));
        Verifier tolerant = verifier(options().onUnsure(OnUnsure.REFUSE).clockTolerance(Duration.ofSeconds(35)));
        Instant there = Instant.now().plusSeconds(offset);
        follow(there.minusSeconds(60));
        it.verify(token("laptop", there, LONG), Check.ANY);
        tolerant.verify(token("laptop", there, Duration.ofSeconds(20)), Check.ANY);
    }

    @Test
    void anEndingIsRememberedForAsLongAsATokenIsAccepted() throws Exception {
        Verifier it = verifier(options().clockTolerance(Duration.ofMinutes(1)));
        it.sessions.note(Map.of("sessionId", "laptop", "reason", "logout", "tokensExpireAt", ago(30).toString()));
        it.sessions.note(Map.of("sessionId", "phone", "reason", "logout", "tokensExpireAt", ago(90).toString()));
        it.sessions.forget();
        assertEquals(1, it.status().remembered());
        assertEquals("session_logged_out", refusal(it, token("laptop", ago(930), LONG)).code());
    }

    @Test
    void optionsThatDoNotGoTogetherAreRefused() {
        Map.of(
                "not both", options().apiKey("k").redisUrl("redis://a").serviceUrl("http://a"),
                "revocationsUrl", options().apiKey("k").onUnsure(OnUnsure.REFUSE),
                "serviceUrl", options(),
                "maxStaleness", options().serviceUrl("http://a").maxStaleness(Duration.ofMillis(1)),
                "exactly one", options().serviceUrl("http://a").jwksUrl("http://a"),
                "32 bytes", options().serviceUrl("http://a").secrets("short")
        ).forEach((complaint, options) -> {
            IllegalArgumentException error = assertThrows(IllegalArgumentException.class, () -> new Verifier(options));
            assertTrue(error.getMessage().contains(complaint), error.getMessage());
        });
    }
}
