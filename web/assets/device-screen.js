// The devices screen: this device and the others, kept up to date by the live connection, with
// buttons to end their sessions.
import { DeviceRows } from './device-rows.js';
import { busy, say } from './screens.js';
import { count, failureInWords, nameOf, span } from './words.js';

/** How often times like "3 minutes ago" are updated, in milliseconds. */
const TICK_MS = 5000;

const LIVE_WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  polling: 'Looking every few seconds',
  waiting: 'Connection lost, trying again…',
  off: '',
};

const byId = (id) => document.getElementById(id);

export function deviceScreen(client) {
  const own = new DeviceRows(byId('this-list'), () => client.now(), (device, button) => leave(button));
  const others = new DeviceRows(byId('others-list'), () => client.now(), end);
  let known = null;
  let ticking;

  client.onDevices(render);
  client.onStatus((status) => {
    byId('live').dataset.status = status;
    byId('live-text').textContent = LIVE_WORDS[status];
  });
  byId('end-others').addEventListener('click', () => endOthers());

  function render(devices) {
    const rest = devices.filter((device) => !device.current);
    own.render(devices.filter((device) => device.current), known !== null);
    others.render(rest, known !== null);
    byId('others-count').textContent = rest.length > 0 ? `(${rest.length})` : '';
    byId('end-others').hidden = rest.length === 0;
    byId('others-none').hidden = rest.length > 0;
    tellArrivals(rest);
    known = new Set(rest.map((device) => device.id));
  }

  /** The user should learn of a sign-in elsewhere at once. */
  function tellArrivals(rest) {
    const arrived = known === null ? [] : rest.filter((device) => !known.has(device.id));
    if (arrived.length > 0) status(`New sign-in: ${arrived.map(nameOf).join(', ')}.`);
  }

  function leave(button) {
    return busy(button, () => attempt(() => client.logout()));
  }

  function end(device, button) {
    return busy(button, () => attempt(async () => {
      const next = others.focusAfter(device.id);
      await client.terminate(device.id);
      status(`Signed out ${nameOf(device)}.`);
      (next ?? byId('others-title')).focus();
    }));
  }

  async function endOthers() {
    if (!(await confirmed(known?.size ?? 0))) return;
    await busy(byId('end-others'), () => attempt(async () => {
      const ended = await client.terminateOthers();
      status(`Signed out ${count(ended, 'other device')}.`);
      byId('others-title').focus();
    }));
  }

  return {
    open() {
      known = null;
      status('');
      render([client.session]);
      known = null;
      client.config().then((config) => say(byId('rules'), rules(config)), () => undefined);
      clearInterval(ticking);
      ticking = setInterval(() => [own, others].forEach((rows) => rows.tick()), TICK_MS);
    },
    close() {
      clearInterval(ticking);
      byId('confirm').close('no');
      own.render([], false);
      others.render([], false);
    },
    /** After a sign-in on this page. */
    greet({ evictedSessionIds }) {
      if (evictedSessionIds.length === 0) return;
      status(`To make room for this device, ${count(evictedSessionIds.length, 'other')} had to be signed out.`);
    },
  };
}

/** Runs the action; a failure that does not end the session is shown in place. */
async function attempt(work) {
  say(byId('page-error'), '');
  try {
    await work();
  } catch (error) {
    if (error.status === 404) return status('That device was signed out already.');
    if (error.status !== 401) say(byId('page-error'), failureInWords(error));
  }
}

function status(text) {
  say(byId('page-status'), text);
}

function confirmed(others) {
  const dialog = byId('confirm');
  byId('confirm-text').textContent = others === 1
    ? 'One other device is signed out at once. This one stays signed in.'
    : `${others} other devices are signed out at once. This one stays signed in.`;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

function rules({ maxSessionsPerUser, sessionTimeoutMinutes }) {
  return `Up to ${count(maxSessionsPerUser, 'device')} can be signed in at once. `
    + `A device is signed out after ${span(sessionTimeoutMinutes * 60)} without activity.`;
}
