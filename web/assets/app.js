// The page's entry point: creates the client, decides which screen is shown, and leaves the rest to
// the screens.
import { createAuthClient } from './client/index.js';
import { accountScreen } from './account.js';
import { deviceScreen } from './device-screen.js';
import { setUpForgotten } from './forgot.js';
import { setUpForms, welcome } from './forms.js';
import { idleDialog } from './idle-dialog.js';
import { isShown, onScreen, show } from './screens.js';
import { showSignedOut } from './signed-out.js';
import { signInSteps } from './steps.js';

/** How often the service is retried while it does not answer, in milliseconds. */
const RETRY_MS = 4000;

const base = document.querySelector('meta[name="auth-base"]').content;
const client = createAuthClient({ baseUrl: base });
const byId = (id) => document.getElementById(id);
let retry;
/** The device of the current or last session. */
let own = null;

const devices = deviceScreen(client);
const account = accountScreen(client);
const idle = idleDialog(client);
const greet = (signIn) => devices.greet(signIn);
setUpForms(client, greet, signInSteps(client, greet));
const forgotten = setUpForgotten(client);

client.onSignedIn((user) => {
  clearTimeout(retry);
  own = client.session;
  byId('who-name').textContent = user.name;
  byId('who-email').textContent = user.email;
  devices.open();
  account.open();
  show('devices');
});

client.onSignedOut((reason, detail) => {
  idle.close();
  devices.close();
  if (detail.here) welcome('You are signed out.');
  else showSignedOut(client, reason, { ...detail, own });
});

onScreen((name) => {
  byId('who').hidden = name !== 'devices';
});

byId('retry').addEventListener('click', start);
start();

/** Resumes the browser's session, or asks to sign in. A service that does not answer signs nobody out. */
async function start() {
  clearTimeout(retry);
  if (forgotten.openedByLink()) return;
  if (document.querySelector('meta[name="auth-session"]').content === 'none') {
    show('sign-in');
    return;
  }
  if (!isShown('unreachable')) show('loading');
  try {
    const user = await client.resume();
    if (user === null && !isShown('signed-out')) show('sign-in');
  } catch {
    show('unreachable');
    retry = setTimeout(start, RETRY_MS);
  }
}
