package authservice.verifier;

import java.time.Instant;

/**
 * What a verifier knows.
 *
 * @param upToDate whether an ending that happened {@code maxStaleness} ago is known
 * @param since when every ending is known; null while that cannot be said
 * @param remembered the number of endings in memory
 */
public record Status(boolean upToDate, Instant since, int remembered) {}
