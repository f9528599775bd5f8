package authservice.verifier;

import java.time.Duration;

/** Warns of what goes wrong again and again: at once, and then at most once a minute. */
final class Warnings {
    private static final long EVERY_NANOS = Duration.ofMinutes(1).toNanos();

    private final System.Logger log;
    /** The {@link System#nanoTime()} of the latest warning, or null. */
    private Long warnedAt;

    Warnings(System.Logger log) {
        this.log = log;
    }

    void warn(String message, Object what) {
        if (isDue(System.nanoTime())) {
            log.log(System.Logger.Level.WARNING, message, what);
        }
    }

    /** Whether to warn now; if so, it is noted. */
    synchronized boolean isDue(long now) {
        boolean due = warnedAt == null || now - warnedAt >= EVERY_NANOS;
        warnedAt = due ? (Long) now : warnedAt;
        return due;
    }
}
