// Every endpoint once, in the order of a person's day. One user, a second or two: does it work at all?
import { call, login, refresh, refusedSoon, signUp } from './lib/api.js';
import { ALWAYS, TREND_STATS, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

export const options = {
  scenarios: { smoke: { executor: 'per-vu-iterations', vus: vus(1), iterations: 1, maxDuration: '60s' } },
  summaryTrendStats: TREND_STATS,
  thresholds: { ...ALWAYS, checks: ['rate==1'], 'http_req_duration{op:session}': [within(95, 200)] },
};

export default function () {
  call('GET', '/health', 'health', null, 200);
  call('GET', '/health/live', 'health', null, 200);
  call('GET', '/health/ready', 'health', null, 200);
  call('GET', '/config', 'config', null, 200);
  call('GET', '/.well-known/jwks.json', 'jwks', null, 200);
  call('GET', '/openapi.json', 'openapi', null, 200);

  const laptop = signUp('smoke');
  const phone = login(laptop.email, { deviceName: 'Phone' });
  call('GET', '/me', 'me', laptop.accessToken, 200);
  call('GET', '/session', 'session', laptop.accessToken, 200);
  call('GET', '/sessions', 'sessions', laptop.accessToken, 200);
  call('POST', '/activity', 'activity', laptop.accessToken, 200);
  call('POST', '/events/ticket', 'ticket', laptop.accessToken, 201);
  refresh(laptop);

  // The laptop ends the phone's session, whose token is useless from then on, on every node. Other
  // nodes learn of it within a second at the latest; the gateway may have sent the request to one
  // of them.
  call('DELETE', `/sessions/${phone.sessionId}`, 'terminate', laptop.accessToken, 204);
  refusedSoon(phone.accessToken);
  call('DELETE', '/sessions/all', 'terminate_others', laptop.accessToken, 200);
  call('POST', '/logout', 'logout', laptop.accessToken, 204);
  refusedSoon(laptop.accessToken);
  call('POST', '/login', 'login_refused', null, 401, { email: laptop.email, password: 'quite another one' });
  call('GET', '/nowhere', 'not_found', null, 404);
}

export const handleSummary = summary;
