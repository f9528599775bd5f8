// One dialog for every small question: some fields, a button, and errors beside the fields. It
// closes when the work has succeeded, or when the user cancels.
import { busy, say } from './screens.js';
import { failureInWords } from './words.js';

const dialog = document.getElementById('ask');
const form = dialog.querySelector('form');
const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
let finish;

form.addEventListener('submit', (event) => {
  event.preventDefault();
  busy(part('yes'), submit);
});
part('no').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => finish?.(null));

let current;

/**
 * Asks, and returns the result of `work`, or null when the user cancels.
 *
 * @param {{title: string, text?: string, yes: string, danger?: boolean, content?: Node,
 *   fields?: {name: string, label: string, type?: string, autocomplete?: string, inputmode?: string, value?: string, hint?: string}[]}} question
 * @param {(values: Record<string, string>) => Promise<unknown>} work
 */
export function ask(question, work) {
  current = { question, work };
  part('title').textContent = question.title;
  say(part('text'), question.text ?? '');
  say(part('error'), '');
  part('content').replaceChildren(...(question.content ? [question.content] : []));
  part('fields').replaceChildren(...(question.fields ?? []).map(fieldOf));
  part('yes').textContent = question.yes;
  part('yes').className = question.danger ? 'danger solid' : 'primary';
  dialog.showModal();
  (form.querySelector('input') ?? part('yes')).focus();
  return new Promise((resolve) => {
    finish = (value) => {
      finish = undefined;
      form.reset();
      resolve(value);
    };
  });
}

async function submit() {
  say(part('error'), '');
  for (const input of form.querySelectorAll('input')) mark(input, '');
  try {
    const answer = await current.work(Object.fromEntries(new FormData(form)));
    const done = finish;
    finish = undefined;
    dialog.close();
    done?.(answer ?? true);
  } catch (error) {
    const fields = (error.fields ?? []).filter(({ field }) => form.elements[field]);
    for (const { field, message } of fields) mark(form.elements[field], message);
    if (fields.length > 0) form.elements[fields[0].field].focus();
    else if (error.status !== 401 || error.code === 'invalid_credentials') say(part('error'), failureInWords(error));
    else dialog.close();
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
