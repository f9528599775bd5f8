package libraries;

import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;
import com.nimbusds.jose.jwk.JWKSet;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URL;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtIssuerValidator;
import org.springframework.security.oauth2.jwt.JwtTimestampValidator;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.oauth2.server.resource.introspection.OpaqueTokenIntrospector;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;

/** Java: Spring Security, auth0 java-jwt; Spring Security's introspector queries the service (RFC 7662). */
public final class Main {
    private interface Library {
        void verify(String token) throws Exception;
    }

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        List<String> missing = Stream.of("ISSUER", "AUDIENCE", "API_KEY_ID", "API_KEY_SECRET")
                .filter(name -> System.getenv().getOrDefault(name, "").isEmpty())
                .toList();
        if (!missing.isEmpty()) {
            System.err.println("not set: " + String.join(", ", missing) + "; see examples/libraries/README.md");
            System.exit(1);
        }
        String issuer = System.getenv("ISSUER");
        String audience = System.getenv("AUDIENCE");
        Map<String, Library> libraries = new LinkedHashMap<>();
        libraries.put("Spring Security", springSecurity(issuer, audience));
        libraries.put("java-jwt", javaJwt(issuer, audience));
        libraries.put("Spring introspector", springIntrospector(issuer));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String token = lines.readLine(); token != null; token = lines.readLine()) {
            for (Map.Entry<String, Library> library : libraries.entrySet()) {
                try {
                    library.getValue().verify(token);
                    System.out.println(library.getKey() + " accepted");
                } catch (Exception error) {
                    System.out.println(library.getKey() + " refused " + error.getMessage());
                }
            }
        }
    }

    /** As a bean of type JwtDecoder this is all that a resource server needs. Its own default refuses at+jwt. */
    private static Library springSecurity(String issuer, String audience) {
        NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(issuer + "/.well-known/jwks.json")
                .jwsAlgorithm(SignatureAlgorithm.ES256)
                .validateType(false)
                .build();
        decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(
                new JwtTypeValidator(List.of("at+jwt")),
                new JwtTimestampValidator(),
                new JwtIssuerValidator(issuer),
                new JwtClaimValidator<List<String>>("aud", found -> found != null && found.contains(audience))));
        return decoder::decode;
    }

    /** As a bean of type OpaqueTokenIntrospector; queries the service each time, so ended sessions fail. */
    private static Library springIntrospector(String issuer) {
        OpaqueTokenIntrospector introspector = SpringOpaqueTokenIntrospector.withIntrospectionUri(issuer + "/introspect")
                .clientId(System.getenv("API_KEY_ID"))
                .clientSecret(System.getenv("API_KEY_SECRET"))
                .build();
        return introspector::introspect;
    }

    private static Library javaJwt(String issuer, String audience) throws Exception {
        JWKSet keys = JWKSet.load(new URL(issuer + "/.well-known/jwks.json"));
        return token -> {
            var decoded = JWT.decode(token);
            // The library does not check `typ`.
            if (!"at+jwt".equalsIgnoreCase(decoded.getType())) {
                throw new IllegalArgumentException("not an access token");
            }
            var key = keys.getKeyByKeyId(decoded.getKeyId()).toECKey().toECPublicKey();
            JWT.require(Algorithm.ECDSA256(key, null)).withIssuer(issuer).withAudience(audience).build().verify(token);
        };
    }
}
