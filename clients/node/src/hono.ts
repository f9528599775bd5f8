// Hono: `app.get('/orders', requireSession(verifier), handler)`; the caller is `context.get('auth')`.
import { refuseWrongChecks, type CheckOptions } from './check-options.js';
import { AuthError } from './errors.js';
import type { Verifier } from './verifier.js';

interface Context {
  req: { header(name: string): string | undefined };
  set(key: string, value: unknown): void;
}

/**
 * Lets a request pass whose session is live; all others get the response that the auth service would
 * send.
 *
 * @throws {TypeError} for options that are not those of a check.
 */
export function requireSession(verifier: Verifier, options: CheckOptions = {}) {
  refuseWrongChecks(options);
  return async (context: Context, next: () => Promise<void>): Promise<Response | void> => {
    try {
      context.set('auth', await verifier.verifyHeader(context.req.header('authorization'), options));
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      const headers = { ...error.headers, 'content-type': 'application/problem+json' };
      return new Response(JSON.stringify(error.problem), { status: error.status, headers });
    }
    await next();
  };
}
