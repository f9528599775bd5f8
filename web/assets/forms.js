// Signing in and signing up: what was typed goes to the service, what is wrong with it comes back beside its field.
import { busy, say, show } from './screens.js';
import { failureInWords } from './words.js';

const signInForm = document.getElementById('sign-in');
const signUpForm = document.getElementById('sign-up');

const MISSING = { name: 'Enter your name.', email: 'Enter your email address.', password: 'Enter a password.' };

/** `done` hears the answer of a sign-in made here. */
export function setUpForms(client, done) {
  setUp(signInForm, (data) => client.login(data), done);
  setUp(signUpForm, (data) => client.signup(data), done);
  for (const button of document.querySelectorAll('[data-goto]')) {
    button.addEventListener('click', () => {
      clear(signInForm);
      clear(signUpForm);
      show(button.dataset.goto);
    });
  }
  for (const button of document.querySelectorAll('[data-shows]')) button.addEventListener('click', () => toggle(button));
  client.config().then((config) => {
    document.getElementById('password-min').textContent = config.passwordMinLength;
  }, () => undefined);
}

/** The sign-in screen with a word on top, such as after a sign-out. */
export function welcome(text) {
  clear(signInForm);
  say(signInForm.querySelector('[data-role="status"]'), text);
  show('sign-in');
}

function setUp(form, send, done) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(form.querySelector('[type="submit"]'), () => submit(form, send, done));
  });
}

async function submit(form, send, done) {
  mark(form, []);
  const data = Object.fromEntries(new FormData(form));
  const missing = Object.keys(data).filter((field) => data[field].trim() === '');
  if (missing.length > 0) return mark(form, missing.map((field) => ({ field, message: MISSING[field] })));
  try {
    const answer = await send(data);
    clear(form);
    done(answer);
  } catch (error) {
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

/** Shows each field's error beside it and goes to the first; with none, takes all errors away. */
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

/** A hint stays described; an error comes before it. */
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
