package authservice.verifier;

import static authservice.verifier.FakeService.until;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;

/** What is known about sessions while requests and the reading thread change it at the same time. */
class EndedSessionsTest {
    private final EndedSessions sessions = new EndedSessions(Duration.ofMinutes(1), Duration.ZERO, ended -> {});
    private final Instant old = Instant.now().minusSeconds(120);

    /** Endings of the last minute are known, as of now. */
    private void begin() {
        sessions.beginAnew(Instant.now().minusSeconds(60), System.nanoTime());
        sessions.reached(System.nanoTime());
    }

    /** Confirms the session, and does {@code meanwhile} in another thread just before the answer is kept. */
    private Thread confirm(long askedAt, Runnable meanwhile) throws ReflectiveOperationException {
        Thread other = new Thread(meanwhile);
        var confirmed = new ConcurrentHashMap<String, Instant>() {
            private static final long serialVersionUID = 1L;

            @Override
            public Instant put(String session, Instant expires) {
                other.start();
                try {
                    until("it has ended, or waits", () -> !other.isAlive() || other.getState() == Thread.State.BLOCKED);
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
                return super.put(session, expires);
            }
        };
        Field field = EndedSessions.class.getDeclaredField("confirmed");
        field.setAccessible(true);
        field.set(sessions, confirmed);
        sessions.confirm("laptop", Instant.now().plusSeconds(900), askedAt);
        return other;
    }

    @Test
    void anAnswerIsKeptUntilReadingBeginsAnew() {
        begin();
        sessions.confirm("laptop", Instant.now().plusSeconds(900), System.nanoTime());
        assertTrue(sessions.of("laptop", old).live());
        begin();
        assertEquals(EndedSessions.Knowledge.UNSURE, sessions.of("laptop", old));
    }

    @Test
    void anAnswerFromBeforeReadingBeginsAnewIsNotKeptAfterIt() throws Exception {
        begin();
        Thread other = confirm(System.nanoTime(), this::begin);
        other.join();
        assertTrue(sessions.status().upToDate());
        assertEquals(EndedSessions.Knowledge.UNSURE, sessions.of("laptop", old));
    }

    @Test
    void nothingIsKnownOnceItIsClosed() throws Exception {
        begin();
        sessions.close();
        sessions.reached(System.nanoTime());
        sessions.confirm("laptop", Instant.now().plusSeconds(900), System.nanoTime());
        assertFalse(sessions.status().upToDate());
    }
}
