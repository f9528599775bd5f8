package authservice.verifier;

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.text.ParseException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The keys that the auth service publishes. A check whose key is known does not wait for a service
 * that is down.
 */
final class PublishedKeys {
    /** How long keys are cached, as the response allows, so that a retired key is forgotten. */
    private static final Duration KEEP = Duration.ofMinutes(5);
    /** How long keys are used, at most, if newer ones cannot be fetched. */
    private static final Duration KEEP_AT_MOST = Duration.ofHours(1);
    /**
     * How long the request that starts a refetch waits for it, so that no withdrawn key is used after
     * a quiet time.
     */
    private static final Duration MOMENT = Duration.ofMillis(250);
    /** How soon an unknown key id triggers another fetch: not for every forged token. */
    private static final Duration COOLDOWN = Duration.ofSeconds(5);
    /** How soon a failed fetch is retried: not for each request. */
    private static final long RETRY_NANOS = Duration.ofSeconds(1).toNanos();

    /** What was fetched at that {@link System#nanoTime()}. */
    record Fetched(JWKSet keys, long at) {
        JWK key(String id) {
            return id == null ? null : keys.getKeyByKeyId(id);
        }

        boolean isOlderThan(Duration age) {
            return System.nanoTime() - at > age.toNanos();
        }
    }

    private final HttpClient http;
    private final HttpRequest request;
    /** For the whole fetch: the request's own timeout ends when the head of the response has arrived. */
    private final Duration timeout;
    /** Null until keys were fetched. */
    volatile Fetched fetched;
    /** The running or latest fetch; guarded by the lock of this object. */
    private CompletableFuture<Fetched> fetch;
    private Long failedAt;

    PublishedKeys(HttpClient http, URI url, Duration timeout) {
        this.http = http;
        this.timeout = timeout;
        request = HttpRequest.newBuilder(url).timeout(timeout).build();
    }

    /** The key of a token. A failed fetch says nothing about the token. */
    JWK key(String id, JWSAlgorithm algorithm) throws AuthException {
        Fetched now = fetched;
        boolean isKnown = now != null && now.key(id) != null && !now.isOlderThan(KEEP_AT_MOST);
        if (isKnown && now.isOlderThan(KEEP)) {
            now = newerWithinAMoment(now);
        } else if (!isKnown && (now == null || now.isOlderThan(COOLDOWN))) {
            now = newer();
        }
        JWK found = now.key(id);
        if (found == null || found.getAlgorithm() == null || !found.getAlgorithm().getName().equals(algorithm.getName())) {
            throw AuthException.invalid();
        }
        return found;
    }

    private Fetched newerWithinAMoment(Fetched old) throws AuthException {
        CompletableFuture<Fetched> started;
        synchronized (this) {
            if (isRunning() || failedAMomentAgo()) {
                return old;
            }
            started = start();
        }
        try {
            return started.get(MOMENT.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException | TimeoutException error) {
            return old;
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw AuthException.unavailable(error);
        }
    }

    private Fetched newer() throws AuthException {
        CompletableFuture<Fetched> running;
        synchronized (this) {
            running = isRunning() || failedAMomentAgo() ? fetch : start();
        }
        try {
            return running.get();
        } catch (ExecutionException error) {
            throw AuthException.unavailable(error.getCause());
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw AuthException.unavailable(error);
        }
    }

    private boolean isRunning() {
        return fetch != null && !fetch.isDone();
    }

    private boolean failedAMomentAgo() {
        return failedAt != null && System.nanoTime() - failedAt < RETRY_NANOS;
    }

    /** It continues independently of the request that needs it. */
    private CompletableFuture<Fetched> start() {
        fetch = http.sendAsync(request, HttpResponse.BodyHandlers.ofString()).thenApply(PublishedKeys::read)
                .orTimeout(timeout.toMillis(), TimeUnit.MILLISECONDS).whenComplete(this::note);
        return fetch;
    }

    private synchronized void note(Fetched found, Throwable error) {
        failedAt = error == null ? null : (Long) System.nanoTime();
        if (error == null) {
            fetched = found;
        }
    }

    private static Fetched read(HttpResponse<String> answer) {
        if (answer.statusCode() != 200) {
            throw new CompletionException(new IOException("the keys were answered with " + answer.statusCode()));
        }
        try {
            return new Fetched(JWKSet.parse(answer.body()), System.nanoTime());
        } catch (ParseException error) {
            throw new CompletionException(error);
        }
    }
}
