// An ordinary day over a long time (DURATION 1h): latency must not creep up. load-tests/run also
// shows the nodes' memory.
import { mixed } from './lib/mix.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

export const options = {
  scenarios: { soak: { executor: 'constant-vus', vus: vus(20), duration: duration('1h') } },
  summaryTrendStats: TREND_STATS,
  thresholds: {
    ...ALWAYS,
    'http_req_duration{op:session}': [within(99, 100)],
    'http_req_duration{op:activity}': [within(99, 100)],
    'http_req_duration{op:refresh}': [within(99, 250)],
    'http_req_duration{op:login}': [within(99, 1000)],
  },
};

export default mixed;
export const handleSummary = summary;
