package authservice.verifier;

import java.time.Duration;
import java.util.Set;

/**
 * Which callers are accepted.
 *
 * @param roles roles that are accepted; every role if empty
 * @param acr {@code aal2} requires a second factor; {@code aal1}, which every session has, requires no more
 *     than null does
 * @param maxAge the maximum time since the user last authenticated; null for any
 * @param exact always asks the auth service
 */
public record Check(Set<String> roles, String acr, Duration maxAge, boolean exact) {
    /** @throws IllegalArgumentException for an unknown level, which would check nothing, or a negative age */
    public Check {
        if (acr != null && !acr.equals("aal1") && !acr.equals("aal2")) {
            throw new IllegalArgumentException("acr is aal1 or aal2");
        }
        if (maxAge != null && maxAge.isNegative()) {
            throw new IllegalArgumentException("maxAge is negative");
        }
    }

    /** Every live session. */
    public static final Check ANY = new Check(Set.of(), null, null, false);
    /** Every live session, as the auth service itself knows it now. */
    public static final Check EXACT = new Check(Set.of(), null, null, true);

    /** These roles only; every role if there are none. */
    public static Check roles(String... roles) {
        return new Check(Set.of(roles), null, null, false);
    }
}
