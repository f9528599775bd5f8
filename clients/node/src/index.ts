// Verifies the auth service's access tokens, and rejects a session within `maxStaleness` of its
// end.
import { Verifier, type VerifierOptions } from './verifier.js';

export type { CheckOptions } from './check-options.js';
export { AuthError } from './errors.js';
export type { Ended } from './ended-sessions.js';
export type { Claims } from './tokens.js';
export { Verifier } from './verifier.js';
export type { Identity, Status, VerifierOptions } from './verifier.js';

/** Creates a verifier, one per process. It follows the events until it is closed. */
export function createVerifier(options: VerifierOptions): Verifier {
  return new Verifier(options);
}
