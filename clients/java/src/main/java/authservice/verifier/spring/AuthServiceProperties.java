package authservice.verifier.spring;

import authservice.verifier.VerifierOptions;
import java.time.Duration;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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

    /** Spring leaves it as it stands where the variable is not set. */
    private static final Pattern PLACEHOLDER = Pattern.compile("\\$\\{[^}]*}");

    VerifierOptions options() {
        refusePlaceholders();
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

    private void refusePlaceholders() {
        refusePlaceholder("issuer", issuer);
        refusePlaceholder("audience", audience);
        refusePlaceholder("jwks-url", jwksUrl);
        refusePlaceholder("redis-url", redisUrl);
        refusePlaceholder("redis-prefix", redisPrefix);
        refusePlaceholder("api-key", apiKey);
        refusePlaceholder("revocations-url", revocationsUrl);
        refusePlaceholder("service-url", serviceUrl);
        if (secrets != null) {
            secrets.forEach(secret -> refusePlaceholder("secrets", secret));
        }
    }

    /** The complaint does not repeat the rest of the value, which may be secret. */
    private static void refusePlaceholder(String name, String value) {
        Matcher left = PLACEHOLDER.matcher(value == null ? "" : value);
        if (left.find()) {
            throw new IllegalArgumentException("auth-service." + name + " has " + left.group() + ": that variable is not set");
        }
    }
}
