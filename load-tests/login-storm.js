// Everybody logs in at once, while others only read. Logins beyond capacity are shed with 503 and
// Retry-After; users who are signed in must not notice.
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { login, session, signUp } from './lib/api.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

const shed = new Counter('logins_shed');
const done = new Counter('logins_done');

export const options = {
  scenarios: {
    storm: { executor: 'constant-vus', vus: vus(100), duration: duration('30s'), exec: 'storm' },
    quiet: { executor: 'constant-vus', vus: 5, duration: duration('30s'), exec: 'quiet' },
  },
  summaryTrendStats: TREND_STATS,
  thresholds: {
    ...ALWAYS,
    logins_done: ['count>0'],
    'http_req_duration{op:session}': [within(99, 100)],
    'http_req_duration{op:login}': [within(95, 5000)],
  },
};

// Fewer users than logins, so that some sessions are evicted during the run.
export function setup() {
  return Array.from({ length: 20 }, () => signUp('storm').email);
}

export function storm(emails) {
  const signedIn = login(emails[Math.floor(Math.random() * emails.length)], { mayShed: true });
  (signedIn ? done : shed).add(1);
  if (!signedIn) sleep(0.5 + Math.random());
}

let me;
export function quiet() {
  me = me || signUp('quiet');
  session(me);
  sleep(0.05);
}

export const handleSummary = summary;
