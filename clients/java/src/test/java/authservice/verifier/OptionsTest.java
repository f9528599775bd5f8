package authservice.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import authservice.verifier.VerifierOptions.OnUnsure;
import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What cannot mean what it says is refused where it is written: a misspelt check would check nothing. */
class OptionsTest {
    private static void assertRefused(String complaint, Runnable made) {
        IllegalArgumentException error = assertThrows(IllegalArgumentException.class, made::run);
        assertTrue(error.getMessage().contains(complaint), error.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"AAL2", "aal3", "aal2 ", ""})
    void anUnknownLevelIsRefused(String acr) {
        assertRefused("acr is aal1 or aal2", () -> new Check(Set.of(), acr, null, false));
    }

    @Test
    void aNegativeAgeIsRefused() {
        assertRefused("maxAge is negative", () -> new Check(Set.of(), null, Duration.ofSeconds(-1), false));
    }

    private static VerifierOptions options() {
        return new VerifierOptions("auth-service").secrets(FakeService.SECRET).onUnsure(OnUnsure.ACCEPT);
    }

    @Test
    void aVerifierThatWouldCheckLessThanItSaysIsNotMade() {
        Duration negative = Duration.ofSeconds(-1);
        assertRefused("issuer is needed", () -> new Verifier(new VerifierOptions("").secrets(FakeService.SECRET)));
        assertRefused("issuer is needed", () -> new Verifier(new VerifierOptions(null).secrets(FakeService.SECRET)));
        assertRefused("audience is empty", () -> new Verifier(options().audience("")));
        assertRefused("onUnsure is ASK, REFUSE or ACCEPT", () -> new Verifier(options().onUnsure(null)));
        assertRefused("maxStaleness", () -> new Verifier(options().maxStaleness(negative)));
        assertRefused("clockTolerance is negative", () -> new Verifier(options().clockTolerance(negative)));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "localhost:4001", "auth-service", "", " ", "/", "//auth-service", "http:", "http://", "http:///path", "https://:4001",
        "ftp://auth-service", "redis://auth-service", "http://auth service", "http://auth_service:4001", "http://a:65536", "${AUTH_URL}",
    })
    void anAddressWithoutSchemeOrHostIsRefusedAndTheOptionNamed(String url) {
        String complaint = " must begin with http:// or https:// and name a host";
        assertRefused("serviceUrl" + complaint, () -> new Verifier(options().serviceUrl(url)));
        assertRefused("revocationsUrl" + complaint, () -> new Verifier(options().revocationsUrl(url)));
        VerifierOptions keys = new VerifierOptions("auth-service").onUnsure(OnUnsure.ACCEPT);
        assertRefused("jwksUrl" + complaint, () -> new Verifier(keys.jwksUrl(url)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"localhost:6379", "redis", "", " ", "redis:", "redis://", "redis:///1", "http://redis:6379", "redis://a b", "${REDIS_URL}"})
    void anAddressThatIsNotOfRedisIsRefusedAndTheOptionNamed(String url) {
        assertRefused("redisUrl must begin with redis:// or rediss:// and name a host", () -> new Verifier(options().redisUrl(url)));
    }

    @Test
    void theComplaintAboutAnAddressDoesNotTellThePasswordInIt() {
        for (String url : List.of("redis+x://:hunter2@redis", "http://ada:hunter2@", ":hunter2@redis:6379")) {
            RuntimeException redis = assertThrows(IllegalArgumentException.class, () -> new Verifier(options().redisUrl(url)));
            RuntimeException service = assertThrows(IllegalArgumentException.class, () -> options().serviceUrl(url));
            for (Throwable error : List.of(redis, service)) {
                assertFalse((error.getMessage() + error.getCause()).contains("hunter2"), error.getMessage());
            }
        }
    }

    @Test
    void usualAddressesAreTaken() {
        for (String url : List.of("http://auth-service:4001", "https://auth.example/base/", "HTTP://127.0.0.1", "http://[::1]:4001/")) {
            new Verifier(options().serviceUrl(url).revocationsUrl(url)).close();
        }
        for (String url : List.of("redis://127.0.0.1:1", "rediss://:password@127.0.0.1:1/2", "redis://user:password@[::1]:1")) {
            new Verifier(options().redisUrl(url)).close();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "${JWT_ACCESS_SECRET}", "$JWT_ACCESS_SECRET", "%JWT_ACCESS_SECRET%", "${AUTH_SERVICE_JWT_ACCESS_SECRET}",
        "$THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE", "%THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE%",
    })
    void aPlaceholderThatNobodyReplacedIsNoSecret(String text) {
        VerifierOptions options = new VerifierOptions("auth-service").secrets(FakeService.SECRET, text).onUnsure(OnUnsure.ACCEPT);
        assertRefused("a secret is a variable that was not replaced", () -> new Verifier(options));
    }

    @Test
    void aSecretThatIsShortOrNotThereIsRefused() {
        VerifierOptions options = new VerifierOptions("auth-service").onUnsure(OnUnsure.ACCEPT);
        assertRefused("a secret is shorter than 32 bytes", () -> new Verifier(options.secrets("a".repeat(31))));
        assertRefused("a secret is empty", () -> new Verifier(options.secrets(FakeService.SECRET, "")));
        assertRefused("a secret is empty", () -> new Verifier(options.secrets((String) null)));
        new Verifier(options.secrets("a".repeat(32), "$".repeat(32), "50% of ${this} and $that, or %those%")).close();
    }

    @Test
    void levelsAndAnEmptySetOfRoles() throws Exception {
        try (Verifier verifier = new Verifier(options())) {
            verifier.verify(token("aal1"), new Check(Set.of("PRO"), "aal1", Duration.ofMinutes(1), false));
            verifier.verify(token("aal2"), new Check(Set.of(), "aal1", null, false));
            verifier.verify(token("aal2"), new Check(Set.of(), "aal2", null, false));
            verifier.verify(token("aal1"), Check.roles(new String[0]));
            assertEquals("fresh_authentication_required", refusal(verifier, new Check(Set.of(), "aal2", null, false)));
            assertEquals("insufficient_scope", refusal(verifier, Check.roles("PROFESSIONAL")));
        }
    }

    private static String refusal(Verifier verifier, Check check) {
        return assertThrows(AuthException.class, () -> verifier.verify(token("aal1"), check)).code();
    }

    /** A valid token of a user who authenticated now. */
    private static String token(String acr) throws JOSEException {
        Instant now = Instant.now();
        SignedJWT token = new SignedJWT(
                new JWSHeader.Builder(JWSAlgorithm.HS256).type(new JOSEObjectType("at+jwt")).build(),
                new JWTClaimsSet.Builder()
                        .issuer("auth-service").subject("ada").claim("sid", "laptop").claim("role", "PRO").claim("acr", acr)
                        .claim("auth_time", now.getEpochSecond()).issueTime(Date.from(now))
                        .expirationTime(Date.from(now.plusSeconds(900))).build());
        token.sign(new MACSigner(FakeService.SECRET));
        return token.serialize();
    }
}
