// One JSON request and its response. Every failure is thrown as an AuthError; what it means for the
// session is decided elsewhere.
import { AuthError, type LoginStep } from './errors.js';
import type { Device } from './types.js';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: unknown;
}

/** Sends a request and returns the parsed body (undefined for an empty one). */
export async function requestJson<T>(send: Fetch, url: string, call: Call = {}): Promise<T> {
  const init: RequestInit = { method: call.method ?? 'GET', credentials: 'include', headers: { accept: 'application/json' } };
  if (call.body !== undefined) {
    init.body = JSON.stringify(call.body);
    init.headers = { accept: 'application/json', 'content-type': 'application/json' };
  }
  const response = await reach(send, url, init);
  if (!response.ok) throw await problemOf(response);
  const text = await response.text().catch((cause: unknown) => {
    throw AuthError.network(cause);
  });
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** Sends the request; getting no response is a temporary AuthError. */
async function reach(send: Fetch, url: string, init: RequestInit): Promise<Response> {
  try {
    return await send(url, init);
  } catch (cause) {
    throw cause instanceof AuthError ? cause : AuthError.network(cause);
  }
}

/**
 * The error in a response; if the body is not a problem document (a proxy's page), only the status
 * counts.
 */
export async function problemOf(response: Response): Promise<AuthError> {
  const body = await response.json().catch(() => null);
  const problem = typeof body === 'object' && body !== null ? body : {};
  return new AuthError({
    status: response.status,
    code: typeof problem.code === 'string' ? problem.code : `http_${response.status}`,
    message: problem.detail ?? problem.title ?? `The service answered ${response.status}.`,
    fields: Array.isArray(problem.errors) ? problem.errors : [],
    retryAfterSeconds: seconds(response.headers.get('retry-after')),
    requestId: response.headers.get('x-request-id'),
    step: stepOf(problem),
  });
}

/** What the sign-in asks for next, if the right password was not enough. */
function stepOf(problem: Record<string, unknown>): LoginStep | null {
  if (typeof problem['loginTicket'] !== 'string') return null;
  return {
    loginTicket: problem['loginTicket'],
    methods: Array.isArray(problem['methods']) ? problem['methods'].map(String) : [],
    email: typeof problem['email'] === 'string' ? problem['email'] : null,
    sessions: Array.isArray(problem['sessions']) ? (problem['sessions'] as Device[]) : [],
    maxSessions: typeof problem['maxSessions'] === 'number' ? problem['maxSessions'] : null,
  };
}

/** Retry-After in seconds; its date form is not used by the service. */
function seconds(header: string | null): number | null {
  const value = header === null ? NaN : Number(header);
  return Number.isFinite(value) && value >= 0 ? value : null;
}
