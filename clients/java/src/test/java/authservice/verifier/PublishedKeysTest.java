package authservice.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.nimbusds.jose.JWSAlgorithm;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Known keys continue to verify while newer ones cannot be fetched from the auth service. */
class PublishedKeysTest {
    private static final String KEYS = """
            {"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}""";

    private final AtomicInteger asked = new AtomicInteger();
    private final CountDownLatch over = new CountDownLatch(1);
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private HttpServer server;
    private PublishedKeys keys;
    /** What the server answers; null: nothing. */
    private volatile String answer = KEYS;
    private volatile int answerStatus = 200;
    /** Whether only the head is answered, and half of the rest. */
    private volatile boolean stopsInTheMiddle;

    @BeforeEach
    void start() throws Exception {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", exchange -> {
            asked.incrementAndGet();
            if (answer == null) {
                await();
            }
            byte[] body = String.valueOf(answer).getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answerStatus, body.length);
            if (stopsInTheMiddle) {
                exchange.getResponseBody().write(body, 0, body.length / 2);
                exchange.getResponseBody().flush();
                await();
            }
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
        keys = new PublishedKeys(HttpClient.newHttpClient(), url, Duration.ofSeconds(2));
        assertEquals(200, status("a"));
    }

    private void await() throws IOException {
        try {
            over.await();
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
    }

    @AfterEach
    void stop() {
        over.countDown();
        server.stop(0);
        threads.shutdownNow();
    }

    private int status(String id) {
        try {
            keys.key(id, JWSAlgorithm.EdDSA);
            return 200;
        } catch (AuthException error) {
            return error.status();
        }
    }

    private void age(long minutes) {
        keys.fetched = new PublishedKeys.Fetched(keys.fetched.keys(), System.nanoTime() - Duration.ofMinutes(minutes).toNanos());
    }

    @Test
    void aServiceThatHangsHoldsUpNobodyWhoseKeyIsKnown() {
        answer = null;
        age(6);
        long began = System.nanoTime();
        CompletableFuture<Integer> waiting = CompletableFuture.supplyAsync(() -> status("another"), threads);
        for (int request = 0; request < 100; request++) {
            assertEquals(200, status("a"));
        }
        assertTrue(System.nanoTime() - began < Duration.ofSeconds(1).toNanos());
        assertEquals(503, waiting.join(), "whose key is not known waits");
        assertEquals(2, asked.get(), "one fetch at a time");
    }

    @Test
    void anAnswerThatStopsInTheMiddleIsGivenUp() throws Exception {
        stopsInTheMiddle = true;
        age(61);
        CompletableFuture<Integer> waiting = CompletableFuture.supplyAsync(() -> status("a"), threads);
        assertEquals(503, waiting.get(5, TimeUnit.SECONDS));
    }

    @Test
    void oldKeysAreUsedForAnHourAtMost() {
        answerStatus = 500;
        age(59);
        assertEquals(200, status("a"));
        age(61);
        assertEquals(503, status("a"));
    }

    @Test
    void veryOldKeysAreReplaced() {
        age(61);
        assertEquals(200, status("a"));
        assertEquals(2, asked.get());
    }

    @Test
    void theFirstToComeAfterAQuietTimeDoesNotUseAKeyThatWasTakenAway() {
        answer = "{\"keys\":[]}";
        age(6);
        assertEquals(401, status("a"));
    }
}
