package authservice.verifier;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.Test;

/**
 * What a check costs compared with the library alone, and the memory of each remembered ending. Its
 * name is not that of a test, so it runs only when requested: {@code mvn test -Dtest=CheckCost}.
 */
class CheckCost {
    private static final String SECRET = "access-secret-of-the-tests-0123456789abcdef";
    private static final int CHECKS = 20_000;
    private static final int ENDINGS = 500_000;

    @Test
    void measure() throws Exception {
        String token = token();
        DefaultJWTProcessor<SecurityContext> library = library();
        try (Verifier verifier = new Verifier(new VerifierOptions("auth-service")
                .secrets(SECRET).onUnsure(VerifierOptions.OnUnsure.ACCEPT))) {
            double[] taken = micros(() -> library.process(token, null), () -> verifier.verify(token, Check.ANY));
            double alone = taken[0];
            double following = taken[1];
            System.out.printf("library alone %.1f µs, verifier %.1f µs: %.2f ×%n", alone, following, following / alone);
        }
        System.out.printf("an ending %d bytes%n", memory());
    }

    private static String id(long number) {
        return "0198c1a2-3b4d-7a10-9c2b-%012x".formatted(number);
    }

    private static String token() throws Exception {
        Instant now = Instant.now();
        SignedJWT token = new SignedJWT(
                new JWSHeader.Builder(JWSAlgorithm.HS256).type(new JOSEObjectType("at+jwt")).keyID("a").build(),
                new JWTClaimsSet.Builder()
                        .issuer("auth-service").subject(id(1)).claim("sid", id(1L << 40)).claim("stk", id(3)).claim("role", "PRO")
                        .claim("client_id", "auth-service").claim("auth_time", now.getEpochSecond()).claim("amr", List.of("pwd"))
                        .claim("acr", "aal1").issueTime(Date.from(now)).expirationTime(Date.from(now.plusSeconds(3600)))
                        .jwtID("one").build());
        token.sign(new MACSigner(SECRET));
        return token.serialize();
    }

    /** Configured to check what the verifier checks. */
    private static DefaultJWTProcessor<SecurityContext> library() {
        DefaultJWTProcessor<SecurityContext> library = new DefaultJWTProcessor<>();
        library.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        List<SecretKeySpec> keys = List.of(new SecretKeySpec(SECRET.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        library.setJWSKeySelector((header, context) -> JWSAlgorithm.HS256.equals(header.getAlgorithm()) ? keys : List.of());
        library.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
                new JWTClaimsSet.Builder().issuer("auth-service").build(), Set.of("sub", "sid", "iat", "exp")));
        return library;
    }

    /** CPU of each, of this thread: the median of fifteen rounds, in which they take turns; the first ones warm up. */
    private static double[] micros(Callable<?>... checks) throws Exception {
        double[][] rounds = new double[checks.length][15];
        for (int round = 0; round < 15; round++) {
            for (int which = 0; which < checks.length; which++) {
                long began = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
                for (int number = 0; number < CHECKS; number++) {
                    checks[which].call();
                }
                long took = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - began;
                rounds[which][round] = took / 1000.0 / CHECKS;
            }
        }
        return Arrays.stream(rounds).mapToDouble(taken -> Arrays.stream(taken).sorted().toArray()[7]).toArray();
    }

    private static long memory() throws InterruptedException {
        long before = used();
        Remembered remembered = new Remembered();
        Instant until = Instant.now().plusSeconds(3600);
        for (int number = 0; number < ENDINGS; number++) {
            remembered.add(id(number), "logout", until);
        }
        long bytes = (used() - before) / ENDINGS;
        if (remembered.size() != ENDINGS) {
            throw new IllegalStateException("it forgot some");
        }
        return bytes;
    }

    private static long used() throws InterruptedException {
        for (int time = 0; time < 5; time++) {
            System.gc();
            Thread.sleep(50);
        }
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }
}
