package authservice.verifier;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.crypto.Ed25519Verifier;
import com.nimbusds.jose.crypto.MACVerifier;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Whether a token is one of the auth service's access tokens. Whether its session is live is another question, which no
 * signature answers.
 */
final class Tokens {
    /** The keys may be kept this long, as the answer says, so that a retired one is forgotten. */
    private static final long KEEP_KEYS_NANOS = Duration.ofMinutes(5).toNanos();
    /** An unknown key id has them fetched earlier, but not for every forged token. */
    private static final long COOLDOWN_NANOS = Duration.ofSeconds(5).toNanos();
    /** A server that is away is not asked for each request. */
    private static final long RETRY_NANOS = Duration.ofSeconds(1).toNanos();
    /** Never an algorithm that the header picks together with its own key. */
    private static final List<JWSAlgorithm> ASYMMETRIC =
            List.of(JWSAlgorithm.ES256, JWSAlgorithm.EdDSA, JWSAlgorithm.RS256);

    private final VerifierOptions options;
    private final HttpClient http;
    private final Duration timeout;
    private JWKSet keys;
    private long fetchedAt;
    private Long failedAt;

    Tokens(VerifierOptions options, HttpClient http, Duration timeout) {
        this.options = options;
        this.http = http;
        this.timeout = timeout;
    }

    JWTClaimsSet verify(String token) throws AuthException {
        try {
            SignedJWT parsed = SignedJWT.parse(token);
            JWSHeader header = parsed.getHeader();
            // Before a key is looked up, so that none is fetched for a token that could not pass anyway.
            if (!isAccessToken(header) || !isSigned(parsed, header)) {
                throw AuthException.invalid();
            }
            return checked(parsed);
        } catch (ParseException | JOSEException | RuntimeException error) {
            throw AuthException.invalid();
        }
    }

    /** RFC 9068; no critical extension is known here (RFC 7515, section 4.1.11). */
    private static boolean isAccessToken(JWSHeader header) {
        JOSEObjectType type = header.getType();
        String name = type == null ? "" : type.getType().toLowerCase(Locale.ROOT);
        boolean critical = header.getCriticalParams() != null && !header.getCriticalParams().isEmpty();
        return !critical && (name.equals("at+jwt") || name.equals("application/at+jwt"));
    }

    private boolean isSigned(SignedJWT token, JWSHeader header) throws AuthException, JOSEException {
        JWSAlgorithm algorithm = header.getAlgorithm();
        if (options.jwksUrl != null) {
            return ASYMMETRIC.contains(algorithm) && token.verify(verifier(key(header.getKeyID(), algorithm)));
        }
        if (!JWSAlgorithm.HS256.equals(algorithm)) {
            return false;
        }
        for (String secret : options.secrets) {
            if (token.verify(new MACVerifier(secret.getBytes(StandardCharsets.UTF_8)))) {
                return true;
            }
        }
        return false;
    }

    private static JWSVerifier verifier(JWK key) throws JOSEException {
        return switch (key.getKeyType().getValue()) {
            case "EC" -> new ECDSAVerifier(key.toECKey());
            case "RSA" -> new RSASSAVerifier(key.toRSAKey());
            default -> new Ed25519Verifier(key.toOctetKeyPair());
        };
    }

    private JWTClaimsSet checked(SignedJWT token) throws AuthException, ParseException {
        Map<String, Object> raw = token.getPayload().toJSONObject();
        JWTClaimsSet claims = token.getJWTClaimsSet();
        boolean complete = raw.get("exp") instanceof Number && raw.get("iat") instanceof Number
                && isText(claims.getSubject()) && isText(claims.getStringClaim("sid"))
                && options.issuer.equals(claims.getIssuer())
                && (options.audience == null || claims.getAudience().contains(options.audience));
        if (!complete) {
            throw AuthException.invalid();
        }
        Instant now = Instant.now().minus(options.clockTolerance);
        if (!claims.getExpirationTime().toInstant().isAfter(now)) {
            throw AuthException.expired();
        }
        return claims;
    }

    private static boolean isText(String value) {
        return value != null && !value.isEmpty();
    }

    /** Locked while fetching: of many who miss a key, one fetches it. */
    private synchronized JWK key(String id, JWSAlgorithm algorithm) throws AuthException {
        long age = System.nanoTime() - fetchedAt;
        boolean known = keys != null && id != null && keys.getKeyByKeyId(id) != null;
        if (keys == null || age > (known ? KEEP_KEYS_NANOS : COOLDOWN_NANOS)) {
            fetch();
        }
        JWK found = id == null ? null : keys.getKeyByKeyId(id);
        if (found == null || found.getAlgorithm() == null || !found.getAlgorithm().getName().equals(algorithm.getName())) {
            throw AuthException.invalid();
        }
        return found;
    }

    private void fetch() throws AuthException {
        if (failedAt != null && System.nanoTime() - failedAt < RETRY_NANOS) {
            throw AuthException.unavailable(null);
        }
        try {
            HttpRequest request = HttpRequest.newBuilder(options.jwksUrl).timeout(timeout).build();
            HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IOException("the keys were answered with " + answer.statusCode());
            }
            keys = JWKSet.parse(answer.body());
            fetchedAt = System.nanoTime();
            failedAt = null;
        } catch (IOException | ParseException error) {
            // That the keys cannot be fetched says nothing about the token.
            failedAt = System.nanoTime();
            throw AuthException.unavailable(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw AuthException.unavailable(error);
        }
    }

}
