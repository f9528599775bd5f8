// A person with LISTENERS (4) connected devices ends all other sessions; each device must be
// notified and its connection closed with 4401. `terminate_to_push` is the time from sending the
// request to the device's message, wherever the gateway has put the two.
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { BASE, login, signUp, terminateOthers } from './lib/api.js';
import { ALWAYS, TREND_STATS, duration, vus, within } from './lib/settings.js';
import { summary } from './lib/summary.js';

const LISTENERS = Number(__ENV.LISTENERS || 4);
const PATIENCE_MS = 10_000;

const push = new Trend('terminate_to_push', true);
const lost = new Counter('pushes_lost');

export const options = {
  scenarios: {
    everywhere: { executor: 'constant-vus', vus: vus(10), duration: duration('30s'), gracefulStop: '20s' },
  },
  summaryTrendStats: TREND_STATS,
  thresholds: {
    ...ALWAYS,
    terminate_to_push: [within(95, 250), within(99, 1000)],
    pushes_lost: ['count==0'],
    'http_req_duration{op:terminate_others}': [within(99, 1000)],
  },
};

export default async function () {
  const me = signUp('everywhere');
  const devices = [];
  for (let i = 0; i < LISTENERS; i += 1) {
    const session = login(me.email, { deviceName: `Device ${i}` });
    if (session) devices.push(listen(session));
  }
  const connected = await Promise.all(devices.map((device) => device.connected));
  if (!check(connected, { 'every device connects': (all) => all.every(Boolean) })) {
    devices.forEach((device) => close(device.socket));
    return;
  }

  const sentAt = Date.now();
  const answer = await terminateOthers(me);
  const counted = check(answer, {
    'terminated 200': (a) => a.status === 200,
    'all others are counted': (a) => a.status === 200 && a.json('terminated') === LISTENERS,
  });
  if (!counted) console.error(`DELETE /sessions/all was answered ${answer.status}: ${answer.body}`);
  for (const told of await Promise.all(devices.map((device) => device.ended))) {
    if (!told) {
      lost.add(1);
      continue;
    }
    push.add(told.at - sentAt);
    check(told, { 'closed with 4401': (t) => t.code === 4401 });
  }
  sleep(0.1);
}

// A device: `connected` resolves to true once it is connected, `ended` to the event it got, or null
// after PATIENCE_MS. Its snapshot is not waited for: k6 drops messages that it reads before it has
// called `onopen`.
function listen(session) {
  const headers = { Authorization: `Bearer ${session.accessToken}` };
  const socket = new WebSocket(`${BASE.replace(/^http/, 'ws')}/ws`, null, { headers, tags: { op: 'ws', name: 'ws' } });
  let toldAt = 0;
  let onConnected;
  const connected = new Promise((resolve) => (onConnected = resolve));
  const ended = new Promise((resolve) => {
    const timer = setTimeout(() => {
      onConnected(false);
      resolve(null);
      close(socket);
    }, PATIENCE_MS);
    socket.onopen = () => onConnected(true);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === 'session.terminated' && message.current) toldAt = Date.now();
    };
    socket.onclose = (event) => {
      clearTimeout(timer);
      onConnected(false);
      resolve(toldAt ? { at: toldAt, code: event.code } : null);
    };
  });
  return { socket, connected, ended };
}

// k6 waits forever if a socket is closed that was never opened.
function close(socket) {
  if (socket.readyState === 1) socket.close();
}

export const handleSummary = summary;
