// An ordinary day: 80 % GET /session, 15 % POST /activity, 4 % POST /refresh, 1 % POST /login.
import { mixed } from './lib/mix.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

export const options = {
  scenarios: { steady: { executor: 'constant-vus', vus: vus(50), duration: duration('60s') } },
  summaryTrendStats: TREND_STATS,
  thresholds: {
    ...ALWAYS,
    'http_req_duration{op:session}': [within(95, 25), within(99, 100)],
    'http_req_duration{op:activity}': [within(95, 25), within(99, 100)],
    'http_req_duration{op:refresh}': [within(99, 250)],
    'http_req_duration{op:login}': [within(99, 1000)],
  },
};

export default mixed;
export const handleSummary = summary;
