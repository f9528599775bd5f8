package authservice.verifier;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Endings by session, in few bytes each, because there may be very many. For one thread that writes
 * and many that read.
 */
final class Remembered {
    /** How many different reasons are distinguished. */
    private static final int REASONS = 1000;
    private static final int SMALLEST = 64;

    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    /** The reasons that were received. */
    private final List<String> reasons = new ArrayList<>(List.of("terminated"));
    /** At most three quarters full; an ending is at the place that its id says, or at the next free one. */
    private Table table = new Table(SMALLEST);
    private int size;

    /** What each place holds: two halves of an id, and an ending, which is 0 where the place is free. */
    private record Table(long[] high, long[] low, long[] ending) {
        Table(int places) {
            this(new long[places], new long[places], new long[places]);
        }

        /** Where the id is, or else should be. */
        int place(UUID id) {
            int mask = ending.length - 1;
            int place = (id.hashCode() * 0x9E3779B9 >>> 7) & mask;
            while (ending[place] != 0 && (low[place] != id.getLeastSignificantBits() || high[place] != id.getMostSignificantBits())) {
                place = (place + 1) & mask;
            }
            return place;
        }

        void put(int place, UUID id, long what) {
            high[place] = id.getMostSignificantBits();
            low[place] = id.getLeastSignificantBits();
            ending[place] = what;
        }
    }

    int size() {
        lock.readLock().lock();
        try {
            return size;
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Why the session is over, or null. */
    String reason(String session) {
        UUID id = idOf(session);
        lock.readLock().lock();
        try {
            long found = table.ending()[table.place(id)];
            return found == 0 ? null : reasons.get((int) (found % REASONS));
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Whether the ending is new. From {@code until} on it may be forgotten. */
    boolean add(String session, String reason, Instant until) {
        UUID id = idOf(session);
        lock.writeLock().lock();
        try {
            if (size >= table.ending().length / 4 * 3) {
                table = copied(table.ending().length * 2, 0);
            }
            int place = table.place(id);
            boolean isNews = table.ending()[place] == 0;
            // Never 0, which is a free place.
            table.put(place, id, Math.max(1, until.getEpochSecond() + 1) * REASONS + placeOf(reason));
            size += isNews ? 1 : 0;
            return isNews;
        } finally {
            lock.writeLock().unlock();
        }
    }

    void forget(Instant now) {
        lock.writeLock().lock();
        try {
            int kept = 0;
            for (long ending : table.ending()) {
                kept += ending / REASONS > now.getEpochSecond() ? 1 : 0;
            }
            int places = SMALLEST;
            while (kept >= places / 4 * 3) {
                places *= 2;
            }
            table = copied(places, now.getEpochSecond());
            size = kept;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** What is of use after that second. */
    private Table copied(int places, long after) {
        Table copy = new Table(places);
        for (int place = 0; place < table.ending().length; place++) {
            long ending = table.ending()[place];
            if (ending / REASONS > after) {
                UUID id = new UUID(table.high()[place], table.low()[place]);
                copy.put(copy.place(id), id, ending);
            }
        }
        return copy;
    }

    /** It is an ending whatever the reason is called. */
    private int placeOf(String reason) {
        int place = reasons.indexOf(reason);
        if (place < 0 && reasons.size() < REASONS) {
            reasons.add(reason);
            return reasons.size() - 1;
        }
        return Math.max(place, 0);
    }

    /** A UUID, or of anything else a hash. */
    private static UUID idOf(String session) {
        if (session.length() == 36) {
            try {
                UUID id = UUID.fromString(session);
                if (id.toString().equals(session)) {
                    return id;
                }
            } catch (IllegalArgumentException error) {
                // It is something else.
            }
        }
        try {
            ByteBuffer hash = ByteBuffer.wrap(
                    MessageDigest.getInstance("SHA-256").digest(session.getBytes(StandardCharsets.UTF_8)));
            return new UUID(hash.getLong(), hash.getLong());
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException("every Java has SHA-256", error);
        }
    }
}
