package authservice.verifier;

import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Verifies the auth service's access tokens, and rejects a session within {@code maxStaleness} of
 * its end. Create one per process; it is safe for use by many threads.
 */
public final class Verifier implements AutoCloseable {
    private static final Duration ASK_TIMEOUT = Duration.ofSeconds(2);
    private static final Pattern BEARER = Pattern.compile("Bearer +(\\S+) *", Pattern.CASE_INSENSITIVE);

    private final VerifierOptions options;
    final Tokens tokens;
    final EndedSessions sessions;
    private final HttpClient http;

    /** Makes a verifier that follows the events until it is closed. */
    public Verifier(VerifierOptions options) {
        options.check();
        this.options = options;
        http = HttpClient.newBuilder().connectTimeout(ASK_TIMEOUT).followRedirects(HttpClient.Redirect.NEVER).build();
        tokens = new Tokens(options, http, ASK_TIMEOUT);
        sessions = new EndedSessions(options.maxStaleness, options.clockTolerance, options.onEnded);
        if (options.redisUrl != null) {
            sessions.follow(options.redisUrl, options.redisPrefix + "events");
        }
        if (options.apiKey != null) {
            URI url = options.revocationsUrl == null ? URI.create(options.serviceUrl + "/revocations") : options.revocationsUrl;
            sessions.followService(http, url, options.apiKey);
        }
    }

    /**
     * Checks an access token and its session.
     *
     * @throws AuthException the 401, 403 or 503 to answer with
     */
    public Identity verify(String token, Check check) throws AuthException {
        if (token == null || token.isEmpty()) {
            throw AuthException.missing();
        }
        JWTClaimsSet claims = tokens.verify(token);
        checkSession(token, claims, check.exact());
        return authorize(claims, check);
    }

    /**
     * Checks the value of an {@code Authorization} header.
     *
     * @throws AuthException the 401, 403 or 503 to answer with
     */
    public Identity verifyHeader(String authorization, Check check) throws AuthException {
        Matcher found = BEARER.matcher(authorization == null ? "" : authorization);
        return verify(found.matches() ? found.group(1) : null, check);
    }

    /** What is known now. */
    public Status status() {
        return sessions.status();
    }

    /** Stops following the events. */
    @Override
    public void close() {
        sessions.close();
    }

    private void checkSession(String token, JWTClaimsSet claims, boolean exact) throws AuthException {
        EndedSessions.Knowledge known = sessions.of(session(claims), claims.getIssueTime().toInstant());
        if (known.endedFor() != null) {
            throw AuthException.ended(known.endedFor());
        }
        if (exact) {
            ask(token, claims);
        } else if (!known.live()) {
            switch (options.onUnsure) {
                case ASK -> ask(token, claims);
                case REFUSE -> throw AuthException.unavailable(null);
                case ACCEPT -> { }
            }
        }
    }

    /** Asks whether the session is live. The auth service does not count that as activity. */
    private void ask(String token, JWTClaimsSet claims) throws AuthException {
        if (options.serviceUrl == null) {
            throw AuthException.unavailable(null);
        }
        long askedAt = System.nanoTime();
        HttpRequest request = HttpRequest.newBuilder(URI.create(options.serviceUrl + "/session"))
                .timeout(ASK_TIMEOUT)
                .header("Authorization", "Bearer " + token)
                .build();
        HttpResponse<String> answer;
        Object code;
        try {
            // The request's own timeout ends when the head of the response has arrived.
            answer = http.sendAsync(request, HttpResponse.BodyHandlers.ofString())
                    .get(ASK_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            code = JSONObjectUtils.parse(answer.body()).get("code");
        } catch (ExecutionException | TimeoutException | ParseException error) {
            throw AuthException.unavailable(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw AuthException.unavailable(error);
        }
        if (answer.statusCode() == 401) {
            throw AuthException.fromService(code);
        }
        if (answer.statusCode() != 200) {
            throw AuthException.unavailable(new IOException("the auth service answered " + answer.statusCode()));
        }
        sessions.confirm(session(claims), claims.getExpirationTime().toInstant(), askedAt);
    }

    private static Identity authorize(JWTClaimsSet claims, Check check) throws AuthException {
        String role = text(claims, "role");
        if (!check.roles().isEmpty() && (role == null || !check.roles().contains(role))) {
            throw AuthException.role();
        }
        String acr = text(claims, "acr");
        Long maxAge = check.maxAge() == null ? null : check.maxAge().toSeconds();
        if ("aal2".equals(check.acr()) && !"aal2".equals(acr)) {
            throw AuthException.notFresh("aal2", maxAge);
        }
        Instant authTime = claims.getClaim("auth_time") instanceof Number seconds
                ? Instant.ofEpochSecond(seconds.longValue())
                : null;
        if (maxAge != null && (authTime == null || authTime.isBefore(Instant.now().minusSeconds(maxAge)))) {
            throw AuthException.notFresh(null, maxAge);
        }
        return new Identity(claims.getSubject(), session(claims), role, acr, methods(claims), authTime,
                claims.getExpirationTime().toInstant());
    }

    private static List<String> methods(JWTClaimsSet claims) {
        return claims.getClaim("amr") instanceof List<?> list
                ? list.stream().filter(String.class::isInstance).map(String.class::cast).toList()
                : List.of();
    }

    private static String session(JWTClaimsSet claims) {
        return text(claims, "sid");
    }

    private static String text(JWTClaimsSet claims, String name) {
        return claims.getClaim(name) instanceof String text ? text : null;
    }
}
