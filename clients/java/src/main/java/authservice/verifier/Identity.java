package authservice.verifier;

import java.time.Instant;
import java.util.List;

/**
 * The caller.
 *
 * @param acr {@code aal1}, or {@code aal2} with a second factor; null where the token does not say
 * @param amr how the user authenticated (RFC 8176)
 * @param authTime when the user last authenticated; null if the token does not say
 */
public record Identity(
        String userId, String sessionId, String role, String acr, List<String> amr, Instant authTime, Instant expiresAt) {}
