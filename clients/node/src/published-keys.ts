// The keys that the auth service publishes. A check whose key is known does not wait for a service
// that is down.
import { setTimeout as pause } from 'node:timers/promises';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** How long keys are cached, as the response allows, so that a retired key is forgotten. */
const KEEP_MS = 300_000;
/** How long keys are used, at most, if newer ones cannot be fetched. */
const KEEP_AT_MOST_MS = 3_600_000;
/**
 * How long the request that starts a refetch waits for it, so that no withdrawn key is used after a
 * quiet time.
 */
const MOMENT_MS = 250;
/** How soon an unknown key id triggers another fetch: not for every forged token. */
const COOLDOWN_MS = 5000;
/** How soon a failed fetch is retried: not for each request. */
const RETRY_MS = 1000;
const FETCH_TIMEOUT_MS = 2000;

/** Finds the key of a token; an error that is not about the token means that the keys cannot be fetched. */
export function publishedKeys(url: URL): JWTVerifyGetKey {
  let keys: JWTVerifyGetKey | undefined;
  let fetching: Promise<void> | undefined;
  let failure: unknown;
  let fetchedAt = -Infinity, failedAt = -Infinity;

  const load = async (): Promise<void> => {
    try {
      const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      if (answer.status !== 200) throw new Error(`the keys were answered with ${answer.status}`);
      keys = createLocalJWKSet((await answer.json()) as JSONWebKeySet);
      fetchedAt = performance.now();
    } catch (error) {
      failure = error;
      failedAt = performance.now();
      throw error;
    } finally {
      fetching = undefined;
    }
  };
  /** One at a time. */
  const fetched = (): Promise<void> => {
    if (fetching === undefined && performance.now() - failedAt < RETRY_MS) return Promise.reject(failure);
    return (fetching ??= load());
  };

  return async (header, token) => {
    const age = performance.now() - fetchedAt;
    if (keys === undefined || age > KEEP_AT_MOST_MS) await fetched();
    else if (age > KEEP_MS && fetching === undefined) {
      await Promise.race([fetched().catch(() => {}), pause(MOMENT_MS, undefined, { ref: false })]);
    }
    try {
      return await keys!(header, token);
    } catch (error) {
      const isCurrent = performance.now() - fetchedAt < COOLDOWN_MS;
      if (!(error instanceof errors.JWKSNoMatchingKey) || isCurrent) throw error;
      await fetched();
      return keys!(header, token);
    }
  };
}
