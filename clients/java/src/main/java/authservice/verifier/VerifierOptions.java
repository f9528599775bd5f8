package authservice.verifier;

import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

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
        jwksUrl = value == null ? null : URI.create(value);
        return this;
    }

    /** {@code JWT_ACCESS_SECRET}, for tokens signed with HS256; several while it is being changed. */
    public VerifierOptions secrets(String... values) {
        secrets = List.of(values);
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
        revocationsUrl = value == null ? null : URI.create(value);
        return this;
    }

    /** The address to ask at when the events are not enough. */
    public VerifierOptions serviceUrl(String value) {
        serviceUrl = value == null ? null : URI.create(value.replaceAll("/+$", ""));
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
        if (secrets.stream().anyMatch(String::isEmpty)) {
            throw new IllegalArgumentException("a secret is empty");
        }
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
}
