package authservice.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
