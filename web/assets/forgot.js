// A forgotten password: a code by mail, then a new password. The link in the mail has the code in
// its fragment, which no server sees; nothing happens before the user presses the button.
import { mark } from './ask.js';
import { welcome } from './forms.js';
import { busy, say, show } from './screens.js';
import { failureInWords } from './words.js';

const byId = (id) => document.getElementById(id);
const forgot = byId('forgot');
const reset = byId('reset');

export function setUpForgotten(client) {
  let requestId = '';

  forgot.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(forgot.querySelector('[type="submit"]'), () => attempt(forgot, async ({ email }) => {
      ({ requestId } = await client.account.requestPasswordReset(email));
      begin('If there is an account with this address, a code is on its way to it.');
    }));
  });
  reset.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(reset.querySelector('[type="submit"]'), () => attempt(reset, async ({ code, newPassword }) => {
      await client.account.confirmPasswordReset({ requestId, code: code.replace(/\s/g, ''), newPassword });
      welcome('Your password is changed. Sign in with the new one.');
    }));
  });

  function begin(text) {
    reset.reset();
    say(reset.querySelector('[data-role="status"]'), text);
    show('reset');
  }

  return {
    /** Whether the page was opened by the link in a mail. */
    openedByLink() {
      const values = new URLSearchParams(location.hash.slice(1));
      if (!values.get('requestId')) return false;
      requestId = values.get('requestId');
      begin('Choose a new password.');
      reset.elements.code.value = values.get('code') ?? '';
      reset.elements.newPassword.focus();
      history.replaceState(null, '', '/');
      return true;
    },
  };
}

async function attempt(form, work) {
  say(form.querySelector('[data-role="error"]'), '');
  for (const input of form.querySelectorAll('input')) mark(input, '');
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    const fields = (error.fields ?? []).filter(({ field }) => form.elements[field]);
    for (const { field, message } of fields) mark(form.elements[field], message);
    if (fields.length > 0) form.elements[fields[0].field].focus();
    else say(form.querySelector('[data-role="error"]'), failureInWords(error));
  }
}
