package authservice.verifier.spring;

import authservice.verifier.VerifierOptions;
import java.time.Duration;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;

/** {@code auth-service.*}; the names are those of {@link VerifierOptions}. */
@ConfigurationProperties("auth-service")
public record AuthServiceProperties(
        String issuer,
        String audience,
        String jwksUrl,
        List<String> secrets,
        String redisUrl,
        String redisPrefix,
        String apiKey,
        String revocationsUrl,
        String serviceUrl,
        Duration maxStaleness,
        VerifierOptions.OnUnsure onUnsure,
        Duration clockTolerance) {

    VerifierOptions options() {
        VerifierOptions options = new VerifierOptions(issuer == null ? "auth-service" : issuer)
                .audience(audience)
                .jwksUrl(jwksUrl)
                .redisUrl(given(redisUrl))
                .apiKey(given(apiKey))
                .revocationsUrl(given(revocationsUrl))
                .serviceUrl(serviceUrl);
        if (secrets != null) {
            options.secrets(secrets.toArray(String[]::new));
        }
        if (redisPrefix != null) {
            options.redisPrefix(redisPrefix);
        }
        if (maxStaleness != null) {
            options.maxStaleness(maxStaleness);
        }
        if (onUnsure != null) {
            options.onUnsure(onUnsure);
        }
        if (clockTolerance != null) {
            options.clockTolerance(clockTolerance);
        }
        return options;
    }

    /** An empty value takes back what another source of properties says. */
    private static String given(String value) {
        return value == null || value.isBlank() ? null : value;
    }
}
