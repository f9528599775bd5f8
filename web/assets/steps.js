// What a sign-in asks for besides the password, one step at a time: a second factor, setting one
// up, a code by mail, a new password, or which session to end.
import { fieldOf, mark } from './ask.js';
import { canUsePasskeys, createPasskey, usePasskey, wasCancelled } from './passkeys.js';
import { qrCode } from './qr.js';
import { busy, say, show } from './screens.js';
import { failureInWords, nameOf, timeAgo } from './words.js';

const form = document.getElementById('step');
const part = (name) => form.querySelector(`[data-part="${name}"]`);

const CODE = { name: 'code', label: 'Code', autocomplete: 'one-time-code', inputmode: 'numeric' };
const STEPS = {
  second_factor_required: secondFactor,
  second_factor_enrolment_required: enrolment,
  email_verification_required: ({ step }) => ({
    title: 'Confirm your email',
    text: `We sent a code to ${step.email ?? 'your address'}.`,
    fields: [{ ...CODE, name: 'emailCode' }],
  }),
  password_change_required: () => ({
    title: 'Choose a new password',
    text: 'Your password has to be changed before you can go on.',
    fields: [{ name: 'newPassword', label: 'New password', type: 'password', autocomplete: 'new-password' }],
  }),
  session_limit_reached: whichSession,
};

/** Sign-in by steps. `done` gets the result of the last one. */
export function signInSteps(client, done) {
  let ticket;
  let answerOf;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(part('yes'), () => attempt(() => answerOf(Object.fromEntries(new FormData(form)))));
  });
  part('back').addEventListener('click', () => show('sign-in'));

  /** Whether the error is a step; if so, its screen is shown. */
  function begin(error) {
    if (!error.step || !STEPS[error.code]) return false;
    ticket = error.step.loginTicket;
    const view = STEPS[error.code]({ step: error.step, client, send, now: () => client.now() });
    part('title').textContent = view.title;
    say(part('text'), view.text ?? '');
    say(part('error'), '');
    part('content').replaceChildren(...(view.content ?? []));
    part('fields').replaceChildren(...(view.fields ?? []).map(fieldOf));
    part('others').replaceChildren(...(view.others ?? []).map((other) => choiceOf(other)));
    part('yes').hidden = view.fields === undefined && !view.submits;
    answerOf = view.answerOf ?? ((values) => values);
    document.querySelector('[data-screen="step"]').hidden = true; // so that the next step takes the focus too
    show('step');
    return true;
  }

  function choiceOf({ label, testid, run }) {
    const button = document.createElement('button');
    Object.assign(button, { type: 'button', className: 'plain wide', textContent: label });
    button.dataset.testid = testid;
    button.addEventListener('click', () => busy(button, () => attempt(run)));
    return button;
  }

  /** Runs the function that gets the answer to this step, and sends it. */
  async function attempt(work) {
    say(part('error'), '');
    for (const input of part('fields').querySelectorAll('input')) mark(input, '');
    try {
      const answer = await work();
      if (answer) await send(answer);
    } catch (error) {
      if (wasCancelled(error)) return;
      refuse(error);
    }
  }

  async function send(answer) {
    try {
      done(await client.continueLogin(answer.loginTicket ?? ticket, answer));
    } catch (error) {
      if (!begin(error)) throw error;
    }
  }

  function refuse(error) {
    if (error.code === 'login_ticket_invalid') {
      say(document.querySelector('#sign-in [data-role="status"]'), 'That took too long. Please sign in again.');
      show('sign-in');
      return;
    }
    const fields = (error.fields ?? []).filter(({ field }) => form.elements[field]);
    for (const { field, message } of fields) mark(form.elements[field], message);
    if (fields.length > 0) form.elements[fields[0].field].focus();
    else say(part('error'), failureInWords(error));
  }

  return begin;
}

/** A code from the app, or another factor that the user has. */
function secondFactor({ step, client }) {
  const others = [];
  if (step.methods.includes('passkey') && canUsePasskeys()) {
    others.push({ label: 'Use a passkey', testid: 'step-passkey', run: () => passkeyAnswer(client, step) });
  }
  if (step.methods.includes('recovery_code')) {
    others.push({ label: 'Use a recovery code', testid: 'step-recovery', run: askForRecoveryCode });
  }
  const totp = step.methods.includes('totp');
  return {
    title: 'Second step',
    text: totp ? 'Enter the code that your authenticator app shows.' : 'Show your second factor.',
    ...(totp && { fields: [CODE] }),
    others,
  };
}

async function passkeyAnswer(client, step) {
  const { loginTicket, publicKey } = await client.passkeyLogin({ loginTicket: step.loginTicket });
  return { loginTicket, credential: await usePasskey(publicKey) };
}

function askForRecoveryCode() {
  part('fields').replaceChildren(fieldOf({ name: 'recoveryCode', label: 'Recovery code' }));
  say(part('text'), 'Enter one of the recovery codes that you kept. Each is good once.');
  part('yes').hidden = false;
  part('fields').querySelector('input').focus();
}

/** The role requires a second factor, and the user has none yet. */
function enrolment({ step, client }) {
  const others = [];
  if (step.methods.includes('totp')) {
    others.push({ label: 'Use an authenticator app', testid: 'step-enrol-totp', run: () => enrolTotp(client, step) });
  }
  if (step.methods.includes('passkey') && canUsePasskeys()) {
    others.push({ label: 'Create a passkey', testid: 'step-enrol-passkey', run: () => enrolPasskey(client, step) });
  }
  return { title: 'Set up a second step', text: 'Your account needs a second step to sign in.', others };
}

async function enrolTotp(client, step) {
  part('content').replaceChildren(...totpSetUp(await client.beginEnrolment(step.loginTicket, 'totp')));
  part('others').replaceChildren();
  part('fields').replaceChildren(fieldOf(CODE));
  part('yes').hidden = false;
  part('fields').querySelector('input').focus();
}

async function enrolPasskey(client, step) {
  const { publicKey } = await client.beginEnrolment(step.loginTicket, 'passkey');
  return { credential: await createPasskey(publicKey) };
}

/** What an authenticator app needs: a QR code, and the same as text. */
export function totpSetUp({ secret, otpauthUri }) {
  const hint = document.createElement('p');
  hint.textContent = 'Scan this with your authenticator app, or type the key into it. Then enter the code that it shows.';
  const key = document.createElement('p');
  key.className = 'key';
  key.dataset.testid = 'totp-secret';
  key.textContent = secret.replace(/(.{4})(?=.)/g, '$1 ');
  return [hint, qrCode(otpauthUri, 'QR code for an authenticator app'), key];
}

function whichSession({ step, now }) {
  const list = document.createElement('fieldset');
  list.className = 'choices';
  const legend = document.createElement('legend');
  legend.textContent = 'Sign out';
  list.append(legend, ...step.sessions.map((session) => {
    const label = document.createElement('label');
    const box = document.createElement('input');
    Object.assign(box, { type: 'checkbox', name: 'session', value: session.id });
    const { lastActivity } = session;
    label.append(box, ` ${nameOf(session)}, active ${timeAgo(lastActivity, now())}${session.ipAddress ? `, ${session.ipAddress}` : ''}`);
    return label;
  }));
  return {
    title: 'Too many devices',
    text: `Up to ${step.maxSessions} devices can be signed in. Choose which one to sign out.`,
    content: [list],
    submits: true,
    answerOf: () => ({ endSessionIds: new FormData(form).getAll('session') }),
  };
}
