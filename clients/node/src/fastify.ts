// Fastify: `app.get('/orders', { preHandler: requireSession(verifier) }, handler)`; the caller is `request.auth`.
import { refuseWrongChecks, type CheckOptions } from './check-options.js';
import { AuthError } from './errors.js';
import type { Identity, Verifier } from './verifier.js';

interface Request {
  headers: { authorization?: string | undefined };
  auth?: Identity;
}

interface Reply {
  code(status: number): Reply;
  headers(values: Record<string, string>): Reply;
  type(name: string): Reply;
  send(body: string): Reply;
}

/**
 * Lets a request pass whose session is live; all others get the response that the auth service would
 * send.
 *
 * @throws {TypeError} for options that are not those of a check.
 */
export function requireSession(verifier: Verifier, options: CheckOptions = {}) {
  refuseWrongChecks(options);
  return async (request: Request, reply: Reply): Promise<unknown> => {
    try {
      request.auth = await verifier.verifyHeader(request.headers.authorization, options);
      return undefined;
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      return reply.code(error.status).headers(error.headers).type('application/problem+json').send(JSON.stringify(error.problem));
    }
  };
}
