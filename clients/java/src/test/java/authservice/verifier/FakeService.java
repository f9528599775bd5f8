package authservice.verifier;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.function.LongFunction;

/** A fake service that answers as the test says. */
public final class FakeService implements AutoCloseable {
    public static final String SECRET = "access-secret-of-the-tests-0123456789abcdef";

    public final String url;
    /** How many requests for a session's state there were. */
    final AtomicInteger asked = new AtomicInteger();
    /** The cursors that came with the requests for {@code /revocations}; "" where none did. */
    final List<String> cursors = Collections.synchronizedList(new ArrayList<>());
    /** What is answered at {@code /session} and at {@code /revocations}. */
    public volatile int session = 200;
    volatile int revocations = 200;

    private final ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    /** Open streams, and when each began. */
    private final Map<Socket, Long> streams = new ConcurrentHashMap<>();

    /** Listens on a free port. */
    public FakeService() throws IOException {
        url = "http://127.0.0.1:" + server.getLocalPort();
        thread(() -> {
            while (true) {
                Socket socket = server.accept();
                thread(() -> serve(socket));
            }
        });
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void thread(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException error) {
                // It was closed.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private void serve(Socket socket) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
        String request = lines.readLine();
        String cursor = "";
        for (String line = lines.readLine(); line != null && !line.isEmpty(); line = lines.readLine()) {
            cursor = line.toLowerCase().startsWith("last-event-id: ") ? line.substring(15) : cursor;
        }
        if (request != null && request.startsWith("GET /session ")) {
            asked.incrementAndGet();
            answer(socket, session, session == 401 ? "{\"code\":\"session_terminated\"}" : "{}");
        } else if (request != null) {
            cursors.add(cursor);
            if (revocations != 200) {
                answer(socket, revocations, "");
                return;
            }
            send(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            streams.put(socket, System.nanoTime());
        }
    }

    private static void answer(Socket socket, int status, String body) throws IOException {
        send(socket, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s".formatted(status, body.length(), body));
        socket.close();
    }

    private static void send(Socket socket, String text) throws IOException {
        socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
        socket.getOutputStream().flush();
    }

    int followers() {
        return streams.size();
    }

    /** Endings before that time are not sent. */
    void reset(Instant since) {
        tell(began -> "event: reset\ndata: {\"since\":\"%s\"}\n\n".formatted(since));
    }

    /** Says that every ending stored up to that long ago has been sent. */
    void heartbeat(Duration ago, String cursor) {
        tell(began -> {
            long elapsed = Duration.ofNanos(System.nanoTime() - began).minus(ago).toMillis();
            return "event: heartbeat\nid: %s\ndata: {\"elapsedMs\":%d}\n\n".formatted(cursor, elapsed);
        });
    }

    void ended(String session, String reason) {
        String event = "{\"sessionId\":\"%s\",\"userId\":\"ada\",\"reason\":\"%s\",\"tokensExpireAt\":\"%s\"}"
                .formatted(session, reason, Instant.now().plusSeconds(60));
        tell(began -> "data: " + event + "\n\n");
    }

    private void tell(LongFunction<String> text) {
        streams.forEach((socket, began) -> {
            try {
                send(socket, text.apply(began));
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        });
    }

    /** Breaks all streams. */
    void drop() throws IOException {
        for (Socket socket : List.copyOf(streams.keySet())) {
            streams.remove(socket);
            socket.setSoLinger(true, 0);
            socket.close();
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        drop();
    }

    /** A valid token of that session. */
    public static String token(String session, Instant issued, Duration lasts) throws JOSEException {
        JWTClaimsSet claims = new JWTClaimsSet.Builder()
                .issuer("auth-service").subject("ada").claim("sid", session).claim("role", "PRO").jwtID("1")
                .issueTime(Date.from(issued)).expirationTime(Date.from(issued.plus(lasts)))
                .build();
        SignedJWT token = new SignedJWT(
                new JWSHeader.Builder(JWSAlgorithm.HS256).type(new JOSEObjectType("at+jwt")).build(), claims);
        token.sign(new MACSigner(SECRET));
        return token.serialize();
    }

    static void until(String what, BooleanSupplier holds) throws InterruptedException {
        for (int tries = 0; tries < 500; tries++) {
            if (holds.getAsBoolean()) {
                return;
            }
            Thread.sleep(10);
        }
        throw new AssertionError("not within five seconds: " + what);
    }
}
