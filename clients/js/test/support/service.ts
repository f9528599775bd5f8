// The service as the client sees it through fetch: one user, tokens that expire when a test says
// so, and a record of every request.
import type { Device } from '../../src/types.js';

export const USER = { id: 'u1', name: 'Maya', email: 'maya@example.com', role: 'STARTER' };

export function device(id: string, over: Partial<Device> = {}): Device {
  const now = Date.now();
  const at = (ms: number) => new Date(now + ms).toISOString();
  return {
    id,
    deviceInfo: { name: `Device ${id}`, browser: 'Firefox', os: 'Linux', deviceType: 'desktop', userAgent: '' },
    ipAddress: '192.0.2.1',
    createdAt: at(0),
    lastActivity: at(0),
    expiresAt: at(7 * 86_400_000),
    idleExpiresAt: at(300_000),
    current: false,
    ...over,
  };
}

export interface Asked {
  method: string;
  path: string;
  token: string | null;
  body: unknown;
}

type Answer = { status: number; body?: unknown; headers?: Record<string, string> };

export class FakeService {
  readonly asked: Asked[] = [];
  /** The only valid access token. */
  token = 'token-1';
  sessionId = 's1';
  devices = [device('s1')];
  /** Overrides the responses of these paths. 'down' fails as a network does. */
  readonly instead = new Map<string, Answer | 'down'>();
  idleMinutes = 5;

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const request = new Request(new URL(input instanceof Request ? input.url : String(input), 'https://app.test/'), init);
    const path = new URL(request.url).pathname.replace('/api/auth', '');
    const token = request.headers.get('authorization')?.replace('Bearer ', '') ?? null;
    const body = request.method === 'POST' ? JSON.parse((await request.text()) || 'null') : null;
    this.asked.push({ method: request.method, path, token, body });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const instead = this.instead.get(path);
    if (instead === 'down') throw new TypeError('Failed to fetch');
    const { status, body: answer, headers } = instead ?? this.answer(request.method, path, token);
    return new Response(answer === undefined ? null : JSON.stringify(answer), { status, headers: headers ?? {} });
  };

  count(path: string): number {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  /** From now on the token in use is expired, and a refresh returns this one. */
  expire(next = `${this.token}+`): void {
    this.token = next;
  }

  refuse(path: string, code: string, status = 401, headers: Record<string, string> = {}): void {
    this.instead.set(path, { status, body: { status, code, detail: `because ${code}` }, headers });
  }

  snapshot(): { type: string; sessions: Device[]; timestamp: string } {
    return { type: 'snapshot', sessions: this.devices, timestamp: new Date().toISOString() };
  }

  private answer(method: string, path: string, token: string | null): Answer {
    const grant = { accessToken: this.token, expiresIn: 900, session: device(this.sessionId, { current: true }) };
    if (path === '/login') return { status: 200, body: { ...grant, user: USER, evictedSessionIds: [] } };
    if (path === '/signup') return { status: 201, body: { ...grant, user: USER, evictedSessionIds: [] } };
    if (path === '/refresh') return { status: 200, body: grant };
    if (path === '/config') return { status: 200, body: { sessionTimeoutMinutes: this.idleMinutes } };
    if (token === null) return { status: 401, body: { code: 'token_missing' } };
    if (token !== this.token) return { status: 401, body: { code: 'token_expired' } };
    if (method === 'DELETE' && path === '/sessions/all') return { status: 200, body: { terminated: this.devices.length - 1 } };
    if (method === 'DELETE' || path === '/logout') return { status: 204 };
    return { status: 200, body: this.resource(path) };
  }

  private resource(path: string): unknown {
    const now = Date.now();
    const idleExpiresAt = new Date(now + this.idleMinutes * 60_000).toISOString();
    const resources: Record<string, unknown> = {
      '/me': { user: USER },
      '/session': { session: this.devices[0], idleExpiresAt, remainingSeconds: this.idleMinutes * 60 },
      '/sessions': { sessions: this.devices, total: this.devices.length, maxSessions: 5 },
      '/activity': { lastActivity: new Date(now).toISOString(), idleExpiresAt },
      '/events/ticket': { ticket: `ticket-${this.count('/events/ticket')}`, expiresIn: 30 },
    };
    return resources[path] ?? { path };
  }
}
