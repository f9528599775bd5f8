// The service as a client sees it. Every request is tagged with what it does, so that thresholds
// can refer to it.
import http from 'k6/http';
import { check, fail } from 'k6';
import { uuidv4 } from './random.js';

export const BASE = (__ENV.BASE_URL || 'http://127.0.0.1:4001').replace(/\/$/, '');
export const PASSWORD = 'a horse, correct';
const JSON_HEADERS = { 'Content-Type': 'application/json' };

// 503 with Retry-After is how the service sheds load; a scenario that provokes it declares so with
// `mayShed`.
const OK = http.expectedStatuses({ min: 200, max: 299 });
const OK_OR_SHED = http.expectedStatuses({ min: 200, max: 299 }, 503);

function params(op, token, options = {}) {
  const headers = Object.assign({}, JSON_HEADERS);
  if (token) headers.Authorization = `Bearer ${token}`;
  return {
    headers,
    tags: { op, name: op },
    responseCallback: options.expect || (options.mayShed ? OK_OR_SHED : OK),
    timeout: '30s',
  };
}

export function config() {
  return http.get(`${BASE}/config`, params('config')).json();
}

// A new user, signed in. A failure in the set-up aborts the run.
export function signUp(label = 'load') {
  const email = `${label}-${uuidv4()}@example.com`;
  const body = { name: label, email, password: PASSWORD, refreshTokenDelivery: 'body' };
  const answer = http.post(`${BASE}/signup`, JSON.stringify(body), params('signup'));
  if (answer.status !== 201) fail(`sign-up was answered ${answer.status}: ${answer.body}`);
  return signedIn(email, answer);
}

// Logs in; null if the login was rejected.
export function login(email, options = {}) {
  const body = { email, password: PASSWORD, deviceName: options.deviceName, refreshTokenDelivery: 'body' };
  const answer = http.post(`${BASE}/login`, JSON.stringify(body), params('login', null, options));
  if (options.mayShed && answer.status === 503) {
    check(answer, { 'shed with Retry-After': (a) => Number(a.headers['Retry-After']) > 0 });
    return null;
  }
  return check(answer, { 'login 200': (a) => a.status === 200 }) ? signedIn(email, answer) : null;
}

function signedIn(email, answer) {
  const { user, session, accessToken, refreshToken, expiresIn } = answer.json();
  return { email, userId: user.id, sessionId: session.id, accessToken, refreshToken, renewAt: renewAt(expiresIn) };
}

// Access tokens are renewed after 80 % of their lifetime, so that none expires in flight.
function renewAt(expiresIn) {
  return Date.now() + expiresIn * 800;
}

export function session(me) {
  const answer = http.get(`${BASE}/session`, params('session', me.accessToken));
  check(answer, { 'session 200': (a) => a.status === 200 });
  return answer;
}

export function activity(me) {
  const answer = http.post(`${BASE}/activity`, '{}', params('activity', me.accessToken));
  check(answer, { 'activity 200': (a) => a.status === 200 });
  return answer;
}

export function refresh(me) {
  const body = JSON.stringify({ refreshToken: me.refreshToken });
  const answer = http.post(`${BASE}/refresh`, body, params('refresh'));
  if (!check(answer, { 'refresh 200': (a) => a.status === 200 })) return;
  const { accessToken, refreshToken, expiresIn } = answer.json();
  Object.assign(me, { accessToken, refreshToken, renewAt: renewAt(expiresIn) });
}

export function list(me, options) {
  return http.get(`${BASE}/sessions`, params('sessions', me.accessToken, options));
}

// Any request, for the walk through all endpoints.
export function call(method, path, op, token, expected, body) {
  const expect = http.expectedStatuses(expected);
  const answer = http.request(method, `${BASE}${path}`, body && JSON.stringify(body), params(op, token, { expect }));
  check(answer, { [`${method} ${path} ${expected}`.replace(/[0-9a-f-]{36}/, '{id}')]: (a) => a.status === expected });
  return answer;
}

// An ended session: rejected at once by the node that ended it, and by any other within a second at
// the latest.
export function refusedSoon(token) {
  const expect = http.expectedStatuses(200, 401);
  const until = Date.now() + 1000;
  let answer;
  do {
    answer = http.get(`${BASE}/session`, params('session_ended', token, { expect }));
  } while (answer.status === 200 && Date.now() < until);
  check(answer, { 'the ended session is refused within a second': (a) => a.status === 401 });
}

// Does not block: sockets continue to be read meanwhile.
export function terminateOthers(me) {
  return http.asyncRequest('DELETE', `${BASE}/sessions/all`, null, params('terminate_others', me.accessToken));
}
