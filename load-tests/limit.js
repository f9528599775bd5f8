// Many logins of few users at once, over all nodes: nobody ever has more live sessions than the limit. It is checked by
// listing, after each login and at the end.
import { check, fail, sleep } from 'k6';
import { Counter } from 'k6/metrics';
import http from 'k6/http';
import { config, list, login, signUp } from './lib/api.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

const USERS = Number(__ENV.USERS || 3);
const over = new Counter('lists_over_limit');
const logins = new Counter('logins_done');
const refused = new Counter('logins_refused_503');

export const options = {
  scenarios: { limit: { executor: 'constant-vus', vus: vus(20), duration: duration('30s') } },
  summaryTrendStats: TREND_STATS,
  thresholds: {
    ...ALWAYS,
    checks: ['rate==1'],
    lists_over_limit: ['count==0'],
    logins_done: ['count>0'],
    'http_req_duration{op:login}': [within(99, 2000)],
  },
};

export function setup() {
  const { maxSessionsPerUser } = config();
  if (!(maxSessionsPerUser > 0)) fail('the service does not tell its limit');
  return { limit: maxSessionsPerUser, emails: Array.from({ length: USERS }, () => signUp('limit').email) };
}

export default function ({ limit, emails }) {
  const me = login(emails[Math.floor(Math.random() * emails.length)], { mayShed: true });
  if (!me) {
    refused.add(1);
    sleep(0.2);
    return;
  }
  logins.add(1);
  // Others log in as the same user: this session may already have been evicted. That is not a
  // failure.
  const answer = list(me, { expect: http.expectedStatuses(200, 401) });
  if (answer.status === 401) {
    check(answer, { 'refused as evicted': (a) => a.json('code') === 'session_evicted' });
    return;
  }
  if (!check(answer, { 'listed 200': (a) => a.status === 200 })) return;
  const { sessions, total, maxSessions } = answer.json();
  if (total > limit || sessions.length > limit) over.add(1);
  check(answer, {
    'never more than the limit': () => total <= limit && sessions.length === total && maxSessions === limit,
    'only its own is current': () => sessions.filter((s) => s.current).every((s) => s.id === me.sessionId),
  });
}

// The storm is over: after one more login each, there are exactly as many sessions as the limit.
export function teardown({ limit, emails }) {
  for (const email of emails) {
    const me = login(email);
    const total = me && list(me).json('total');
    check(total, { 'the full number at the end': (t) => t === limit });
    if (total > limit) over.add(1);
  }
}

export const handleSummary = summary;
