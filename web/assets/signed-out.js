// The full-page notice on a device that was signed out by anything but its own button: why, when,
// and how to sign in again.
import { show } from './screens.js';
import { fullTime, reasonInWords } from './words.js';

const byId = (id) => document.getElementById(id);

byId('out-again').addEventListener('click', () => show('sign-in'));

export function showSignedOut(client, reason, { own, by }) {
  const at = new Date(client.now()).toISOString();
  byId('out-time').dateTime = at;
  byId('out-time').textContent = fullTime(at);
  byId('out-again').closest('section').dataset.reason = reason;
  write(reason, { own, by });
  show('signed-out');
  // The limits add detail to the sentence; it also works without them.
  client.config().then((config) => write(reason, { own, by, config }), () => undefined);
}

function write(reason, about) {
  const [sentence, advice] = reasonInWords(reason, about);
  byId('out-reason').textContent = sentence;
  byId('out-advice').textContent = advice;
  byId('out-advice').hidden = advice === '';
}
