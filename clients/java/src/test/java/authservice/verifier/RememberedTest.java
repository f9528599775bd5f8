package authservice.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

class RememberedTest {
    private final Remembered remembered = new Remembered();
    private final Instant now = Instant.now();

    @Test
    void whatIsAUuidAndWhatIsNoneIsFoundAgain() {
        String uuid = "0198c1a2-3b4d-7a10-9c2b-5d6e7f809112";
        for (String id : List.of(uuid, uuid.toUpperCase(), uuid.replace("-", "+"), "laptop", "", new UUID(0, 0).toString())) {
            assertNull(remembered.reason(id));
            assertTrue(remembered.add(id, "of " + id, now));
            assertFalse(remembered.add(id, "of " + id, now));
            assertEquals("of " + id, remembered.reason(id));
        }
    }

    @Test
    void manyAreFoundAndWhatIsOldIsForgotten() {
        for (int number = 0; number < 10_000; number++) {
            assertTrue(remembered.add(new UUID(number, number).toString(), "logout", now.plusSeconds(number % 2 * 60)));
        }
        remembered.forget(now.plusSeconds(30));
        assertEquals(5_000, remembered.size());
        for (int number = 0; number < 10_000; number++) {
            assertEquals(number % 2 == 1 ? "logout" : null, remembered.reason(new UUID(number, number).toString()));
        }
        remembered.forget(now.plusSeconds(90));
        assertEquals(0, remembered.size());
    }

    @Test
    void reasonsAreBoundedAndAnEndingIsOneAllTheSame() {
        for (int number = 0; number < 2_000; number++) {
            remembered.add("session " + number, "reason " + number, now);
        }
        assertEquals("reason 5", remembered.reason("session 5"));
        assertNotNull(remembered.reason("session 1999"));
    }
}
