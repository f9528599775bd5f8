package authservice.verifier;

import com.nimbusds.jose.util.JSONObjectUtils;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Follows endings over HTTP ({@code GET /revocations}), where Redis cannot be reached. A stream
 * that breaks or falls silent is reopened with the last cursor, at any node of the auth service.
 */
final class Revocations {
    private final HttpClient http;
    private final URI url;
    private final String apiKey;
    private final EndedSessions sessions;
    /** The reading thread's own. */
    private String cursor;

    Revocations(HttpClient http, URI url, String apiKey, EndedSessions sessions) {
        this.http = http;
        this.url = url;
        this.apiKey = apiKey;
        this.sessions = sessions;
    }

    /** Reads one stream to its end. */
    void read() throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(url)
                .version(HttpClient.Version.HTTP_1_1)
                .header("Authorization", "Bearer " + apiKey)
                .header("Accept", "text/event-stream");
        if (cursor != null) {
            request.header("Last-Event-ID", cursor);
        }
        Stream stream = new Stream(System.nanoTime());
        CompletableFuture<HttpResponse<Void>> answer =
                http.sendAsync(request.build(), head -> {
                    stream.status = head.statusCode();
                    return HttpResponse.BodySubscribers.fromLineSubscriber(stream);
                });
        try {
            // The service sends something at least twice a second.
            while (!answer.isDone()) {
                if (System.nanoTime() - stream.heardAt > EndedSessions.SILENCE.toNanos()) {
                    throw new IOException("the stream of endings is silent");
                }
                try {
                    answer.get(100, TimeUnit.MILLISECONDS);
                } catch (TimeoutException error) {
                    // Looked at again.
                }
            }
            answer.get();
        } catch (ExecutionException error) {
            throw new IOException(error.getCause());
        } finally {
            stream.cancel();
            answer.cancel(true);
        }
        if (stream.status != 200) {
            // A cursor of another auth service is useless.
            cursor = stream.status == 422 ? null : cursor;
            throw new IOException("the auth service answered " + stream.status);
        }
    }

    /** The lines of one stream. */
    private final class Stream implements Flow.Subscriber<String> {
        private final long requestedAt;
        private final Map<String, String> fields = new HashMap<>();
        volatile long heardAt;
        volatile int status;
        private volatile Flow.Subscription subscription;

        Stream(long requestedAt) {
            this.requestedAt = requestedAt;
            heardAt = requestedAt;
        }

        void cancel() {
            Flow.Subscription lines = subscription;
            if (lines != null) {
                lines.cancel();
            }
        }

        @Override
        public void onSubscribe(Flow.Subscription lines) {
            subscription = lines;
            lines.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(String line) {
            heardAt = System.nanoTime();
            if (status != 200) {
                return;
            }
            int colon = line.indexOf(": ");
            if (colon > 0) {
                fields.put(line.substring(0, colon), line.substring(colon + 2));
            } else if (line.isEmpty()) {
                take();
                fields.clear();
            }
        }

        private void take() {
            String data = fields.get("data");
            if (data == null) {
                return;
            }
            try {
                Map<String, Object> told = JSONObjectUtils.parse(data);
                String event = fields.get("event");
                if (event == null) {
                    sessions.note(told);
                } else if (event.equals("reset")) {
                    sessions.beginAnew(Instant.parse(String.valueOf(told.get("since"))), requestedAt);
                } else if (event.equals("heartbeat") && told.get("elapsedMs") instanceof Number elapsed) {
                    // The service counts from when the request reached it, which was after it was
                    // sent. So this time is never too late, whatever the delays on the way.
                    sessions.reached(requestedAt + Duration.ofMillis(elapsed.longValue()).toNanos());
                    cursor = fields.getOrDefault("id", cursor);
                }
            } catch (ParseException | DateTimeParseException error) {
                cancel();
            }
        }

        @Override
        public void onError(Throwable error) {
            // The answer fails with it.
        }

        @Override
        public void onComplete() {
            // The answer ends with it.
        }
    }
}
