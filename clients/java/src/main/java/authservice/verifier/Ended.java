package authservice.verifier;

/** A session that is over, and why in the words of the events. */
public record Ended(String sessionId, String userId, String reason) {}
