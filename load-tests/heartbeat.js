// Many signed-in clients that report activity once a second (INTERVAL). The activity in the
// responses never moves back, whichever node answers.
import { check, sleep } from 'k6';
import { activity, refresh, signUp } from './lib/api.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

const INTERVAL = Number(__ENV.INTERVAL || 1);

export const options = {
  scenarios: { heartbeat: { executor: 'constant-vus', vus: vus(200), duration: duration('60s') } },
  summaryTrendStats: TREND_STATS,
  thresholds: { ...ALWAYS, 'http_req_duration{op:activity}': [within(95, 25), within(99, 100)] },
};

let me;
let latest = 0;

export default function () {
  me = me || signUp('heartbeat');
  if (Date.now() > me.renewAt) refresh(me);
  const answer = activity(me);
  if (answer.status === 200) {
    const { lastActivity, idleExpiresAt } = answer.json();
    check(answer, {
      'activity does not move back': () => Date.parse(lastActivity) >= latest,
      'deadline is ahead': () => Date.parse(idleExpiresAt) > Date.parse(lastActivity),
    });
    latest = Date.parse(lastActivity);
  }
  sleep(INTERVAL * (0.9 + Math.random() * 0.2));
}

export const handleSummary = summary;
