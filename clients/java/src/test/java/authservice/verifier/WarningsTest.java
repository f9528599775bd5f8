package authservice.verifier;

import static authservice.verifier.FakeService.until;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import authservice.verifier.VerifierOptions.OnUnsure;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What goes wrong again and again is logged at once, and then once a minute. */
class WarningsTest {
    /** Held, since the platform does not hold it. */
    private final Logger logger = Logger.getLogger("authservice.verifier");
    private final List<String> lines = new CopyOnWriteArrayList<>();
    private final Handler handler = new Handler() {
        private final SimpleFormatter format = new SimpleFormatter();

        @Override
        public void publish(LogRecord line) {
            lines.add(line.getLevel() + " " + format.formatMessage(line));
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    };

    @BeforeEach
    void listen() {
        logger.addHandler(handler);
        // Spring Boot, in other tests, may have set that of all loggers.
        logger.setLevel(Level.ALL);
    }

    @AfterEach
    void leave() {
        logger.removeHandler(handler);
        logger.setLevel(null);
    }

    private static VerifierOptions options() {
        return new VerifierOptions("auth-service").secrets(FakeService.SECRET).onUnsure(OnUnsure.ACCEPT);
    }

    @Test
    void aWarningIsDueAtOnceAndThenOnceAMinute() {
        Warnings warnings = new Warnings(System.getLogger("authservice.verifier"));
        long start = Long.MAX_VALUE - 1;
        assertTrue(warnings.isDue(start));
        assertFalse(warnings.isDue(start));
        assertFalse(warnings.isDue(start + Duration.ofSeconds(59).toNanos()));
        assertTrue(warnings.isDue(start + Duration.ofSeconds(60).toNanos()));
        assertFalse(warnings.isDue(start + Duration.ofSeconds(119).toNanos()));
        assertTrue(warnings.isDue(start + Duration.ofSeconds(121).toNanos()));
    }

    @Test
    void whileRedisIsDownThereIsOneWarningThoughItIsTriedAgain() throws Exception {
        AtomicInteger tries = new AtomicInteger();
        try (ServerSocket redis = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            Thread server = new Thread(() -> {
                while (!redis.isClosed()) {
                    try (Socket socket = redis.accept()) {
                        tries.incrementAndGet();
                    } catch (IOException error) {
                        return;
                    }
                }
            });
            server.setDaemon(true);
            server.start();
            try (Verifier verifier = new Verifier(options().redisUrl("redis://127.0.0.1:" + redis.getLocalPort()))) {
                until("it has tried four times", () -> tries.get() >= 4);
                assertFalse(verifier.status().upToDate());
            }
        }
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(lines.get(0).startsWith("WARNING the events of the auth service cannot be followed: "), lines.toString());
    }

    @Test
    void whileTheServiceRefusesTheApiKeyThereIsOneWarning() throws Exception {
        try (FakeService service = new FakeService()) {
            service.revocations = 401;
            try (Verifier verifier = new Verifier(options().serviceUrl(service.url).apiKey("ak_a_b"))) {
                until("it has tried four times", () -> service.cursors.size() >= 4);
            }
        }
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(lines.get(0).contains("the auth service answered 401"), lines.toString());
    }

    @Test
    void aSecretThatIsNotTheAuthServicesIsWarnedAboutOnce() throws Exception {
        String token = FakeService.token("laptop", Instant.now(), Duration.ofMinutes(15));
        try (Verifier verifier = new Verifier(options().secrets("another-secret-of-the-tests-0123456789abcdef"))) {
            for (int time = 0; time < 3; time++) {
                assertThrows(AuthException.class, () -> verifier.verify(token, Check.ANY));
                assertThrows(AuthException.class, () -> verifier.verify("nonsense", Check.ANY));
            }
        }
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(lines.get(0).startsWith("WARNING the signature of a token does not match"), lines.toString());
        assertTrue(lines.get(0).contains("JWT_ACCESS_SECRET"), lines.toString());
        assertFalse(lines.get(0).contains(token.substring(0, 20)), lines.toString());
    }

    @Test
    void aGoodTokenAndOneThatIsNotAnAccessTokenCauseNoWarning() throws Exception {
        try (Verifier verifier = new Verifier(options())) {
            verifier.verify(FakeService.token("laptop", Instant.now(), Duration.ofMinutes(15)), Check.ANY);
            assertThrows(AuthException.class, () -> verifier.verify("nonsense", Check.ANY));
            String expired = FakeService.token("laptop", Instant.now().minusSeconds(900), Duration.ofMinutes(1));
            assertThrows(AuthException.class, () -> verifier.verify(expired, Check.ANY));
        }
        assertEquals(List.of(), lines);
    }
}
