// One dialog for every small question: some fields, a button, and errors beside the fields. A question
// is answered when its work has succeeded, or when the user cancels. Its work may ask another question
// first, such as for the password: that one is shown instead, and then the first again, as it was.
import { wasCancelled } from './passkeys.js';
import { say } from './screens.js';
import { failureInWords } from './words.js';

const dialog = document.getElementById('ask');
const form = dialog.querySelector('form');
const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
/** The open questions; the last one is shown. */
let asked = [];

form.addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});
part('no').addEventListener('click', () => answer(asked.at(-1), null));
dialog.addEventListener('cancel', (event) => {
  // Escape. Left to the browser, the dialog would be gone some time before anybody learns of it.
  event.preventDefault();
  cancelAll();
});
dialog.addEventListener('close', () => {
  // Closed because the session has ended. The event arrives late: the next question may be open.
  if (!dialog.open) cancelAll();
});

function cancelAll() {
  const cancelled = asked;
  asked = [];
  dialog.close();
  for (const question of cancelled) question.resolve(null);
}

/**
 * Asks, and returns the result of `work`, or null when the user cancels.
 *
 * @param {{title: string, text?: string, yes: string, danger?: boolean, content?: Node,
 *   fields?: {name: string, label: string, type?: string, autocomplete?: string, inputmode?: string, value?: string, hint?: string}[]}} question
 * @param {(values: Record<string, string>) => Promise<unknown>} work
 */
export function ask(question, work) {
  return new Promise((resolve) => {
    asked.push({ question, work, resolve, fields: (question.fields ?? []).map(fieldOf), error: '', isBusy: false });
    show();
  });
}

function show() {
  const { question, fields, error, isBusy } = asked.at(-1);
  part('title').textContent = question.title;
  say(part('text'), question.text ?? '');
  say(part('error'), error);
  part('content').replaceChildren(...(question.content ? [question.content] : []));
  part('fields').replaceChildren(...fields);
  part('yes').textContent = question.yes;
  part('yes').className = question.danger ? 'danger solid' : 'primary';
  part('yes').setAttribute('aria-busy', isBusy);
  if (!dialog.open) dialog.showModal();
  (form.querySelector('input') ?? part('yes')).focus();
}

function answer(question, value) {
  if (!asked.includes(question)) return;
  asked = asked.filter((other) => other !== question);
  if (asked.length > 0) show();
  else dialog.close();
  question.resolve(value);
}

async function submit() {
  const question = asked.at(-1);
  if (!question || question.isBusy) return;
  const values = Object.fromEntries(new FormData(form));
  for (const input of form.querySelectorAll('input')) mark(input, '');
  Object.assign(question, { isBusy: true, error: '' });
  say(part('error'), '');
  part('yes').setAttribute('aria-busy', true);
  try {
    answer(question, (await question.work(values)) ?? true);
  } catch (error) {
    refused(question, error);
  } finally {
    question.isBusy = false;
    if (asked.at(-1) === question) part('yes').setAttribute('aria-busy', false);
  }
}

function refused(question, error) {
  if (asked.at(-1) !== question || wasCancelled(error)) return;
  const fields = (error.fields ?? []).filter(({ field }) => form.elements[field]);
  for (const { field, message } of fields) mark(form.elements[field], message);
  if (fields.length > 0) form.elements[fields[0].field].focus();
  else if (error.status === 401 && error.code !== 'invalid_credentials') cancelAll();
  else {
    question.error = failureInWords(error);
    say(part('error'), question.error);
  }
}

/** A field that looks like those of the page's forms. */
export function fieldOf({ name, label, type = 'text', autocomplete = 'off', inputmode, value = '', hint }) {
  const id = `ask-${name}`;
  const field = document.createElement('div');
  field.className = 'field';
  const title = document.createElement('label');
  title.htmlFor = id;
  title.textContent = label;
  const input = document.createElement('input');
  Object.assign(input, { id, name, type, autocomplete, value, required: true });
  if (inputmode) input.inputMode = inputmode;
  input.dataset.testid = id;
  const wrong = document.createElement('p');
  Object.assign(wrong, { className: 'field-error', id: `${id}-error`, hidden: true });
  field.append(title, input, ...(hint ? [hintOf(input, hint)] : []), wrong);
  return field;
}

function hintOf(input, text) {
  const hint = document.createElement('p');
  Object.assign(hint, { className: 'hint', id: `${input.id}-hint`, textContent: text });
  input.setAttribute('aria-describedby', hint.id);
  return hint;
}

/** Shows what is wrong with a field beside it, or clears that. */
export function mark(input, message) {
  const wrong = document.getElementById(`${input.id}-error`);
  const hint = document.getElementById(`${input.id}-hint`);
  say(wrong, message);
  input.toggleAttribute('aria-invalid', false);
  if (message) input.setAttribute('aria-invalid', 'true');
  const described = [message ? wrong.id : null, hint?.id].filter(Boolean).join(' ');
  if (described) input.setAttribute('aria-describedby', described);
  else input.removeAttribute('aria-describedby');
}
