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
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Whether a token is one of the auth service's access tokens. Whether its session is live is a
 * separate question, which no signature answers.
 */
final class Tokens {
    /** Never an algorithm that the header chooses together with its own key. */
    private static final List<JWSAlgorithm> ASYMMETRIC =
            List.of(JWSAlgorithm.ES256, JWSAlgorithm.EdDSA, JWSAlgorithm.RS256);

    private final Warnings warnings = new Warnings(System.getLogger(Tokens.class.getName()));
    private final VerifierOptions options;
    /** Null where tokens are signed with a secret. */
    final PublishedKeys keys;
    private final List<MACVerifier> secrets;

    Tokens(VerifierOptions options, HttpClient http, Duration timeout) {
        this.options = options;
        keys = options.jwksUrl == null ? null : new PublishedKeys(http, options.jwksUrl, timeout);
        secrets = options.secrets.stream().map(Tokens::secret).toList();
    }

    private static MACVerifier secret(String value) {
        try {
            return new MACVerifier(value.getBytes(StandardCharsets.UTF_8));
        } catch (JOSEException error) {
            throw new IllegalArgumentException("a secret is shorter than 32 bytes", error);
        }
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

    /** RFC 9068; no critical extension is supported here (RFC 7515, section 4.1.11). */
    private static boolean isAccessToken(JWSHeader header) {
        JOSEObjectType type = header.getType();
        String name = type == null ? "" : type.getType().toLowerCase(Locale.ROOT);
        boolean critical = header.getCriticalParams() != null && !header.getCriticalParams().isEmpty();
        return !critical && (name.equals("at+jwt") || name.equals("application/at+jwt"));
    }

    private boolean isSigned(SignedJWT token, JWSHeader header) throws AuthException, JOSEException {
        JWSAlgorithm algorithm = header.getAlgorithm();
        if (keys != null) {
            return ASYMMETRIC.contains(algorithm) && token.verify(verifier(keys.key(header.getKeyID(), algorithm)));
        }
        if (!JWSAlgorithm.HS256.equals(algorithm)) {
            return false;
        }
        for (MACVerifier secret : secrets) {
            if (token.verify(secret)) {
                return true;
            }
        }
        warnings.warn("the signature of a token does not match: {0}", "is the secret the auth service's own JWT_ACCESS_SECRET?");
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
        JWTClaimsSet claims = JWTClaimsSet.parse(raw);
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
}
