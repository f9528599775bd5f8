// Signing in and signing up: input goes to the service, and errors are shown beside their fields.
import { canOfferPasskeys, canUsePasskeys, offerPasskeys, usePasskey, wasCancelled } from './passkeys.js';
import { busy, say, show, whenFirstShown } from './screens.js';
import { failureInWords } from './words.js';

const signInForm = document.getElementById('sign-in');
const signUpForm = document.getElementById('sign-up');
const confirmForm = document.getElementById('confirm-sign-up');
const passkeyButton = document.getElementById('in-passkey');

const MISSING = {
  name: 'Enter your name.', email: 'Enter your email address.', password: 'Enter a password.', code: 'Enter the code.',
};

/** `done` gets the result of a sign-in made here; `step` takes over if the password is not enough. */
export function setUpForms(client, done, step) {
  let requestId = '';
  setUp(signInForm, (data) => client.login(data), done, step);
  setUp(signUpForm, (data) => client.signup(data), (answer) => {
    if (answer.user) return done(answer);
    // The address is confirmed first: the response is the same whether or not it has an account.
    requestId = answer.requestId;
    show('confirm-sign-up');
  }, step);
  setUp(confirmForm, ({ code }) => client.confirmSignup({ requestId, code: code.replace(/\s/g, '') }), done, step);
  setUpPasskeys(client, done, step);
  for (const button of document.querySelectorAll('[data-goto]')) {
    button.addEventListener('click', () => {
      clear(signInForm);
      clear(signUpForm);
      clear(confirmForm);
      show(button.dataset.goto);
    });
  }
  for (const button of document.querySelectorAll('[data-shows]')) button.addEventListener('click', () => toggle(button));
  client.config().then((config) => {
    for (const place of document.querySelectorAll('[data-password-min]')) place.textContent = config.passwordMinLength;
    const features = config.features ?? [];
    document.getElementById('to-forgot').hidden = !features.includes('mail');
    passkeyButton.hidden = !features.includes('passkeys') || !canUsePasskeys();
    if (!passkeyButton.hidden) whenFirstShown('sign-in', () => offerToSignIn(client, done, step));
  }, () => undefined);
}

/** The sign-in screen with a message on top, such as after a sign-out. */
export function welcome(text) {
  clear(signInForm);
  say(signInForm.querySelector('[data-role="status"]'), text);
  show('sign-in');
}

/** A passkey signs in without an address or a password. */
function setUpPasskeys(client, done, step) {
  passkeyButton.addEventListener('click', () => busy(passkeyButton, () => signInByPasskey(usePasskey, client, done, step)));
}

/** Passkeys among the suggestions of the email field, until the user signs in another way. */
async function offerToSignIn(client, done, step) {
  if (await canOfferPasskeys()) await signInByPasskey(offerPasskeys, client, done, step);
}

async function signInByPasskey(pick, client, done, step) {
  try {
    const { loginTicket, publicKey } = await client.passkeyLogin();
    const answer = await client.continueLogin(loginTicket, { credential: await pick(publicKey) });
    clear(signInForm);
    done(answer);
  } catch (error) {
    if (!wasCancelled(error) && !step(error)) refuse(signInForm, error);
  }
}

function setUp(form, send, done, step) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(form.querySelector('[type="submit"]'), () => submit(form, send, done, step));
  });
}

async function submit(form, send, done, step) {
  mark(form, []);
  const data = Object.fromEntries(new FormData(form));
  const missing = Object.keys(data).filter((field) => data[field].trim() === '');
  if (missing.length > 0) return mark(form, missing.map((field) => ({ field, message: MISSING[field] })));
  try {
    const answer = await send(data);
    clear(form);
    done(answer);
  } catch (error) {
    if (step(error)) return clear(form);
    const fields = (error.fields ?? []).filter(({ field }) => form.elements[field]);
    if (fields.length > 0) mark(form, fields);
    else refuse(form, error);
  }
}

function refuse(form, error) {
  say(form.querySelector('[data-role="error"]'), failureInWords(error));
  if (error.code === 'invalid_credentials') form.elements.password.select();
  if (error.code === 'email_taken') form.elements.email.select();
}

/** Shows each field's error beside it and focuses the first; with none, clears all errors. */
function mark(form, errors) {
  say(form.querySelector('[data-role="error"]'), '');
  for (const input of form.querySelectorAll('input')) {
    const error = errors.find(({ field }) => field === input.name);
    const place = document.getElementById(`${input.id}-error`);
    say(place, error?.message ?? '');
    input.toggleAttribute('aria-invalid', false);
    if (error) input.setAttribute('aria-invalid', 'true');
    describe(input, place.id, Boolean(error));
  }
  form.querySelector('[aria-invalid="true"]')?.focus();
}

/** A hint stays in the field's description; an error comes before it. */
function describe(input, errorId, present) {
  const hint = document.getElementById(`${input.id}-hint`)?.id;
  const ids = [present ? errorId : null, hint].filter(Boolean).join(' ');
  if (ids) input.setAttribute('aria-describedby', ids);
  else input.removeAttribute('aria-describedby');
}

function clear(form) {
  form.reset();
  mark(form, []);
  const status = form.querySelector('[data-role="status"]');
  if (status) say(status, '');
  for (const button of form.querySelectorAll('[data-shows][aria-pressed="true"]')) toggle(button);
}

function toggle(button) {
  const shown = button.getAttribute('aria-pressed') === 'true';
  document.getElementById(button.dataset.shows).type = shown ? 'password' : 'text';
  button.setAttribute('aria-pressed', String(!shown));
  button.textContent = shown ? 'Show' : 'Hide';
}
