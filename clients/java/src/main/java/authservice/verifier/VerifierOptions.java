package authservice.verifier;

import io.lettuce.core.RedisURI;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** How a {@link Verifier} is made. Exactly one of {@code jwksUrl} and {@code secrets} is needed. */
public final class VerifierOptions {
    /** What to do when it is not known whether a session is live. */
    public enum OnUnsure {
        /** Ask the auth service. */
        ASK,
        /** Answer 503. */
        REFUSE,
        /** Accept what the token says. */
        ACCEPT
    }

    private static final int SHORTEST_SECRET = 32;
    private static final int LAST_PORT = 65_535;
    /** What is left where a shell, Compose or Spring was to put a variable in, and did not. */
    private static final Pattern PLACEHOLDER = Pattern.compile("\\$\\{[^}]*}|\\$[A-Za-z_]\\w*|%[A-Za-z_]\\w*%");

    final String issuer;
    String audience;
    URI jwksUrl;
    List<String> secrets = List.of();
    String redisUrl;
    String redisPrefix = "auth:";
    String apiKey;
    URI revocationsUrl;
    URI serviceUrl;
    Duration maxStaleness = Duration.ofSeconds(1);
    OnUnsure onUnsure = OnUnsure.ASK;
    Duration clockTolerance = Duration.ZERO;
    Consumer<Ended> onEnded = ended -> {};

    /** @param issuer must be the claim {@code iss}: {@code JWT_ISSUER} of the auth service, else its {@code SERVICE_NAME} */
    public VerifierOptions(String issuer) {
        this.issuer = issuer;
    }

    /** Must be in the claim {@code aud}, where the auth service sets {@code JWT_AUDIENCE}. */
    public VerifierOptions audience(String value) {
        audience = value;
        return this;
    }

    /** Where the keys are, for tokens signed with ES256, EdDSA or RS256. */
    public VerifierOptions jwksUrl(String value) {
        jwksUrl = address("jwksUrl", value);
        return this;
    }

    /** {@code JWT_ACCESS_SECRET}, for tokens signed with HS256; several while it is being changed. */
    public VerifierOptions secrets(String... values) {
        secrets = Arrays.asList(values.clone());
        return this;
    }

    /** Where the events are. Without it and {@code apiKey} every check is unsure. */
    public VerifierOptions redisUrl(String value) {
        redisUrl = value;
        return this;
    }

    /** {@code REDIS_PREFIX} of the auth service. */
    public VerifierOptions redisPrefix(String value) {
        redisPrefix = value;
        return this;
    }

    /** An API key with the scope {@code tokens:introspect}, in place of {@code redisUrl}: endings are followed over HTTP. */
    public VerifierOptions apiKey(String value) {
        apiKey = value;
        return this;
    }

    /** Where endings are followed with {@code apiKey}; {@code /revocations} of {@code serviceUrl} by default. */
    public VerifierOptions revocationsUrl(String value) {
        revocationsUrl = address("revocationsUrl", value);
        return this;
    }

    /** The address to ask at when the events are not enough. */
    public VerifierOptions serviceUrl(String value) {
        URI given = address("serviceUrl", value);
        serviceUrl = given == null ? null : URI.create(value.replaceAll("/+$", ""));
        return this;
    }

    /** The maximum age of what is known about endings; at least 100 ms. */
    public VerifierOptions maxStaleness(Duration value) {
        maxStaleness = value;
        return this;
    }

    /** What to do when nothing certain is known. */
    public VerifierOptions onUnsure(OnUnsure value) {
        onUnsure = value;
        return this;
    }

    /** Leeway for {@code exp}. */
    public VerifierOptions clockTolerance(Duration value) {
        clockTolerance = value;
        return this;
    }

    /** Called for each session that ends, by the thread that reads: it must not block. */
    public VerifierOptions onEnded(Consumer<Ended> value) {
        onEnded = value;
        return this;
    }

    void check() {
        if (issuer == null || issuer.isEmpty()) {
            throw new IllegalArgumentException("issuer is needed");
        }
        if (audience != null && audience.isEmpty()) {
            throw new IllegalArgumentException("audience is empty");
        }
        if ((jwksUrl == null) == secrets.isEmpty()) {
            throw new IllegalArgumentException("exactly one of jwksUrl and secrets is needed");
        }
        secrets.forEach(VerifierOptions::checkSecret);
        checkRedis();
        if (onUnsure == null) {
            throw new IllegalArgumentException("onUnsure is ASK, REFUSE or ACCEPT");
        }
        if (onUnsure == OnUnsure.ASK && serviceUrl == null) {
            throw new IllegalArgumentException("serviceUrl is needed to ask the auth service");
        }
        if (apiKey != null && redisUrl != null) {
            throw new IllegalArgumentException("give redisUrl or apiKey, not both");
        }
        if (apiKey != null && serviceUrl == null && revocationsUrl == null) {
            throw new IllegalArgumentException("apiKey needs serviceUrl or revocationsUrl");
        }
        if (maxStaleness.toMillis() < 100) {
            throw new IllegalArgumentException("maxStaleness must be at least 100 ms");
        }
        if (clockTolerance.isNegative()) {
            throw new IllegalArgumentException("clockTolerance is negative");
        }
    }

    /** Anybody can sign with a text that is known. */
    private static void checkSecret(String secret) {
        if (secret == null || secret.isEmpty()) {
            throw new IllegalArgumentException("a secret is empty");
        }
        if (PLACEHOLDER.matcher(secret).matches()) {
            throw new IllegalArgumentException("a secret is a variable that was not replaced");
        }
        if (secret.getBytes(StandardCharsets.UTF_8).length < SHORTEST_SECRET) {
            throw new IllegalArgumentException("a secret is shorter than 32 bytes");
        }
    }

    /** The complaints do not repeat the value, which may have a password. */
    private void checkRedis() {
        try {
            if (redisUrl != null) {
                RedisURI.create(redisUrl);
            }
        } catch (IllegalArgumentException error) {
            throw new IllegalArgumentException("redisUrl must begin with redis:// or rediss:// and name a host");
        }
    }

    private static URI address(String option, String value) {
        try {
            URI url = value == null ? null : new URI(value);
            if (url == null || List.of("http", "https").contains(String.valueOf(url.getScheme()).toLowerCase(Locale.ROOT))
                    && url.getHost() != null && url.getPort() <= LAST_PORT) {
                return url;
            }
        } catch (URISyntaxException error) {
            // As without a host.
        }
        throw new IllegalArgumentException(option + " must begin with http:// or https:// and name a host");
    }
}
