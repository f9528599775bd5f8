package authservice.verifier;

import java.time.Instant;
import java.util.List;

/**
 * Who is calling.
 *
 * @param acr {@code aal1}, or {@code aal2} with a second factor; null where the token does not say
 * @param amr how the person proved who they are (RFC 8176)
 * @param authTime when they last did; null where the token does not say
 */
public record Identity(
        String userId, String sessionId, String role, String acr, List<String> amr, Instant authTime, Instant expiresAt) {}
