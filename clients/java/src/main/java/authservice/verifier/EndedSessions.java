package authservice.verifier;

import com.nimbusds.jose.util.JSONObjectUtils;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.Limit;
import io.lettuce.core.Range;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SocketOptions;
import io.lettuce.core.StreamMessage;
import io.lettuce.core.XReadArgs;
import io.lettuce.core.api.StatefulRedisConnection;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Which sessions are over, according to the stream of events: the one on Redis, or that of {@code
 * GET /revocations}.
 *
 * <p>The stream rather than Pub/Sub: both deliver an event equally fast, but only the stream still
 * has it for a reader that was not listening. Every process reads the whole stream for itself; a
 * consumer group would give each event to one of them.
 */
final class EndedSessions implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(EndedSessions.class.getName());
    private static final int BATCH = 1000;
    private static final Duration RETRY = Duration.ofMillis(200);
    /** A connection that is silent for this long is considered dead. */
    static final Duration SILENCE = Duration.ofSeconds(2);
    /** Clocks of different machines differ by less than this, and a token is signed this soon after its session changed. */
    private static final Duration SLACK = Duration.ofSeconds(5);
    private static final long FORGET_EVERY_NANOS = Duration.ofMinutes(1).toNanos();

    /** Live, over (with a reason), or unsure. */
    record Knowledge(boolean live, String endedFor) {
        static final Knowledge LIVE = new Knowledge(true, null);
        static final Knowledge UNSURE = new Knowledge(false, null);
    }

    /** The state of reading; nanoTime for what is compared with the current time. */
    private record Place(Instant since, long begunAt, Long upToDateAt) {}

    private final Warnings warnings = new Warnings(LOG);
    private final Remembered ended = new Remembered();
    /**
     * Sessions that the auth service confirmed as live after reading began, and until when that is of
     * use. Entries are added, and {@code place} changes, under the lock of this object only.
     */
    private final Map<String, Instant> confirmed = new ConcurrentHashMap<>();
    private final Duration maxStaleness;
    /** How long after their expiry tokens are still accepted. */
    private final Duration tolerance;
    private final Consumer<Ended> onEnded;
    private volatile Place place;
    private volatile boolean closed;
    private Thread reader;
    private RedisClient client;
    /** The id of the last entry that was read; the reading thread's own. */
    private String last;
    /** When old endings were last forgotten; the reading thread's own. */
    private long forgotAt = System.nanoTime();

    EndedSessions(Duration maxStaleness, Duration tolerance, Consumer<Ended> onEnded) {
        this.maxStaleness = maxStaleness;
        this.tolerance = tolerance;
        this.onEnded = onEnded;
    }

    /** What is known about the session of a token that was signed at that time. */
    Knowledge of(String session, Instant issued) {
        // Read before the endings, which then have all that was read up to this place.
        Place now = place;
        String reason = ended.reason(session);
        if (reason != null) {
            return new Knowledge(false, reason);
        }
        if (!isFresh(now)) {
            return Knowledge.UNSURE;
        }
        // A session was live when its token was signed. If that was after `since`, its ending would have been read.
        boolean known = issued.isAfter(now.since().plus(SLACK)) || confirmed.containsKey(session);
        return known ? Knowledge.LIVE : Knowledge.UNSURE;
    }

    private boolean isFresh(Place now) {
        return now != null && now.upToDateAt() != null && System.nanoTime() - now.upToDateAt() < maxStaleness.toNanos();
    }

    Status status() {
        Place now = place;
        return new Status(isFresh(now), now == null ? null : now.since(), ended.size());
    }

    /**
     * Records that the auth service confirmed this session as live when it was asked at that {@link
     * System#nanoTime()}.
     */
    synchronized void confirm(String session, Instant expires, long askedAt) {
        Place now = place;
        // An ending after that is published after reading began, so it will be read.
        if (now != null && askedAt - now.begunAt() > 0) {
            confirmed.put(session, expires);
        }
    }

    /** Reads until it is closed. */
    void follow(String url, String stream) {
        RedisURI address = RedisURI.create(url);
        address.setTimeout(SILENCE);
        client = RedisClient.create(address);
        client.setOptions(ClientOptions.builder()
                .autoReconnect(false)
                .socketOptions(SocketOptions.builder().connectTimeout(SILENCE).build())
                .build());
        start(() -> readForever(stream));
    }

    private void start(Runnable work) {
        reader = new Thread(work, "auth-service-verifier");
        reader.setDaemon(true);
        reader.start();
    }

    /**
     * The same over HTTP. Remembered endings are kept when a stream ends: the next one continues from
     * the cursor, or says that it does not.
     */
    void followService(HttpClient http, URI url, String apiKey) {
        Revocations revocations = new Revocations(http, url, apiKey, this);
        start(() -> {
            while (!closed) {
                try {
                    revocations.read();
                } catch (IOException error) {
                    if (!closed) {
                        warnings.warn("the endings of the auth service cannot be followed: {0}", error);
                    }
                } catch (InterruptedException error) {
                    return;
                }
                try {
                    Thread.sleep(RETRY.toMillis());
                } catch (InterruptedException error) {
                    return;
                }
            }
        });
    }

    /** Endings before that time are not known. */
    synchronized void beginAnew(Instant since, long begunAt) {
        forgetPlace();
        place = new Place(since, begunAt, null);
    }

    private synchronized void forgetPlace() {
        place = null;
        confirmed.clear();
    }

    /** Everything that was stored before that {@link System#nanoTime()} is known. */
    void reached(long at) {
        moveTo(at);
        if (System.nanoTime() - forgotAt > FORGET_EVERY_NANOS) {
            forget();
            forgotAt = System.nanoTime();
        }
    }

    private synchronized void moveTo(long at) {
        Place now = place;
        if (now != null) {
            long soonest = at - System.nanoTime() > 0 ? System.nanoTime() : at;
            boolean goesBack = now.upToDateAt() != null && now.upToDateAt() - soonest > 0;
            place = goesBack ? now : new Place(now.since(), now.begunAt(), soonest);
        }
    }

    /**
     * A connection that breaks or falls silent is replaced rather than repaired, so that it is known
     * where reading resumes.
     */
    private void readForever(String stream) {
        while (!closed) {
            try (StatefulRedisConnection<String, String> made = client.connect()) {
                while (!closed) {
                    read(made, stream);
                    if (System.nanoTime() - forgotAt > FORGET_EVERY_NANOS) {
                        forget();
                        forgotAt = System.nanoTime();
                    }
                }
            } catch (ExecutionException | TimeoutException | RuntimeException error) {
                // Closing shuts the client down, also while this thread connects.
                if (!closed) {
                    warnings.warn("the events of the auth service cannot be followed: {0}", error);
                }
            } catch (InterruptedException error) {
                return;
            }
            try {
                Thread.sleep(RETRY.toMillis());
            } catch (InterruptedException error) {
                return;
            }
        }
    }

    private void read(StatefulRedisConnection<String, String> redis, String stream)
            throws InterruptedException, ExecutionException, TimeoutException {
        if (last == null) {
            begin(redis, stream);
            return;
        }
        long asked = System.nanoTime();
        // Two reads must fit into maxStaleness.
        long wait = Math.min(250, maxStaleness.toMillis() / 4);
        RedisFuture<List<StreamMessage<String, String>>> held = redis.async().xrange(stream, Range.create(last, last));
        RedisFuture<List<StreamMessage<String, String>>> found = redis.async()
                .xread(XReadArgs.Builder.block(wait).count(BATCH), XReadArgs.StreamOffset.from(stream, last));
        // While the last entry read is still there, nothing after it was trimmed or lost with
        // Redis.
        if (held.get(SILENCE.toMillis(), TimeUnit.MILLISECONDS).isEmpty()) {
            last = null;
            forgetPlace();
            return;
        }
        List<StreamMessage<String, String>> entries = found.get(SILENCE.toMillis(), TimeUnit.MILLISECONDS);
        take(entries);
        // Everything published before this read was sent has been read, if the reply was not full.
        if (entries.size() < BATCH) {
            moveTo(asked);
        }
    }

    /** Starts with the oldest entry. What came before it is not known; without a stream nothing is known. */
    private void begin(StatefulRedisConnection<String, String> redis, String stream)
            throws InterruptedException, ExecutionException, TimeoutException {
        long begun = System.nanoTime();
        List<StreamMessage<String, String>> first = redis.async()
                .xrange(stream, Range.unbounded(), Limit.from(1))
                .get(SILENCE.toMillis(), TimeUnit.MILLISECONDS);
        if (first.isEmpty()) {
            Thread.sleep(RETRY.toMillis());
            return;
        }
        // The id of an entry begins with the milliseconds at which it was added.
        String id = first.get(0).getId();
        beginAnew(Instant.ofEpochMilli(Long.parseLong(id.substring(0, id.indexOf('-')))), begun);
        take(first);
    }

    private void take(List<StreamMessage<String, String>> entries) {
        for (StreamMessage<String, String> entry : entries) {
            last = entry.getId();
            try {
                Map<String, Object> event = JSONObjectUtils.parse(entry.getBody().getOrDefault("data", "{}"));
                if ("session.terminated".equals(event.get("event")) || "session.deleted".equals(event.get("event"))) {
                    note(event);
                }
            } catch (ParseException error) {
                LOG.log(System.Logger.Level.WARNING, "an entry of the stream is not an event: {0}", entry.getId());
            }
        }
    }

    void note(Map<String, Object> event) {
        if (!(event.get("sessionId") instanceof String session)) {
            return;
        }
        String reason = event.get("reason") instanceof String text ? text : "terminated";
        confirmed.remove(session);
        if (!ended.add(session, reason, expiry(event).plus(tolerance).plus(SLACK))) {
            return;
        }
        try {
            onEnded.accept(new Ended(session, event.get("userId") instanceof String user ? user : "", reason));
        } catch (RuntimeException error) {
            LOG.log(System.Logger.Level.WARNING, "a listener for ended sessions failed", error);
        }
    }

    private static Instant expiry(Map<String, Object> event) {
        try {
            return Instant.parse(String.valueOf(event.get("tokensExpireAt")));
        } catch (DateTimeParseException error) {
            return Instant.now().plus(Duration.ofDays(1));
        }
    }

    void forget() {
        Instant now = Instant.now();
        ended.forget(now);
        confirmed.values().removeIf(until -> until.isBefore(now));
    }

    @Override
    public void close() {
        closed = true;
        forgetPlace();
        if (reader != null) {
            reader.interrupt();
        }
        if (client != null) {
            client.shutdown(0, 1, TimeUnit.SECONDS);
        }
    }
}
