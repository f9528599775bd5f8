// `fetch` with the access token attached. An expired token is refreshed and the request is sent
// once more; a session that is over is reported; any other response goes back to the caller
// unchanged. The token is sent to the page's own origin and the service's, never to another.
import { AuthError, isSessionOver } from './errors.js';

export interface AuthorizedParts {
  fetch: typeof fetch;
  /** What relative addresses are relative to. */
  href: string | undefined;
  /** Origins that the token may be sent to. */
  origins: ReadonlySet<string>;
  /** The current token; null when signed out. */
  token: () => string | null;
  /** A token other than this one; throws an AuthError. */
  renewed: (refused: string) => Promise<string>;
  /** Called with the error of a request whose session has ended. `token` is the one that was sent. */
  over: (code: string, message: string, token: string) => void;
}

export function authorizedFetch(parts: AuthorizedParts): typeof fetch {
  return async (input, init) => {
    if (!parts.origins.has(originOf(input, parts.href))) return parts.fetch(input, init);
    const token = parts.token();
    if (token === null) return parts.fetch(input, init);

    const again = copyOf(input, init);
    const first = await parts.fetch(input, withToken(input, init, token));
    const refusal = await refusalOf(first);
    if (refusal === null) return first;
    if (!isRenewable(refusal.code) || again === null) return reported(parts, first, refusal, token);

    const renewed = await renewedOrNull(parts, token);
    if (renewed === null) return first;
    const second = await parts.fetch(again, withToken(again, init, renewed));
    const final = await refusalOf(second);
    return final === null ? second : reported(parts, second, final, renewed);
  };
}

/** `token_invalid` too: after a change of keys a new token is valid where the old one is not. */
function isRenewable(code: string): boolean {
  return code === 'token_expired' || code === 'token_invalid';
}

function reported(parts: AuthorizedParts, response: Response, refusal: Refusal, token: string): Response {
  if (isSessionOver(refusal.code)) parts.over(refusal.code, refusal.message, token);
  return response;
}

/**
 * Null when the refresh was rejected permanently: the sign-out has been reported, and the caller gets
 * the 401.
 */
async function renewedOrNull(parts: AuthorizedParts, refused: string): Promise<string | null> {
  try {
    return await parts.renewed(refused);
  } catch (error) {
    if (error instanceof AuthError && error.status === 401) return null;
    throw error;
  }
}

interface Refusal {
  code: string;
  message: string;
}

async function refusalOf(response: Response): Promise<Refusal | null> {
  if (response.status !== 401) return null;
  const body = await response.clone().json().catch(() => null);
  return { code: String(body?.code ?? ''), message: String(body?.detail ?? '') };
}

function withToken(input: RequestInfo | URL, init: RequestInit | undefined, token: string): RequestInit {
  const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
  headers.set('authorization', `Bearer ${token}`);
  return { ...init, headers };
}

/** The request to send a second time; null when the body can be read only once. */
function copyOf(input: RequestInfo | URL, init: RequestInit | undefined): RequestInfo | URL | null {
  if (init?.body instanceof ReadableStream) return null;
  return input instanceof Request ? input.clone() : input;
}

function originOf(input: RequestInfo | URL, href: string | undefined): string {
  const url = input instanceof Request ? input.url : String(input);
  return URL.canParse(url, href) ? new URL(url, href).origin : '';
}
