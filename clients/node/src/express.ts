// Express: `app.get('/orders', requireSession(verifier), handler)`; the caller is `request.auth`.
import { refuseWrongChecks, type CheckOptions } from './check-options.js';
import { AuthError } from './errors.js';
import type { Identity, Verifier } from './verifier.js';

interface Request {
  headers: { authorization?: string | undefined };
  auth?: Identity;
}

interface Response {
  status(code: number): Response;
  set(headers: Record<string, string>): Response;
  type(name: string): Response;
  send(body: string): unknown;
}

/**
 * Lets a request pass whose session is live; all others get the response that the auth service would
 * send.
 *
 * @throws {TypeError} for options that are not those of a check.
 */
export function requireSession(verifier: Verifier, options: CheckOptions = {}) {
  refuseWrongChecks(options);
  return async (request: Request, response: Response, next: (error?: unknown) => void): Promise<void> => {
    try {
      request.auth = await verifier.verifyHeader(request.headers.authorization, options);
    } catch (error) {
      if (!(error instanceof AuthError)) return next(error);
      response.status(error.status).set(error.headers).type('application/problem+json').send(JSON.stringify(error.problem));
      return;
    }
    next();
  };
}
