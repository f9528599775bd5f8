// The countdown before an idle timeout. It closes when the service says that the deadline has
// moved, not when the button is pressed.
import { busy, say } from './screens.js';
import { clock, failureInWords } from './words.js';

/** Announced to screen readers at these seconds, not each second. */
const SPOKEN = new Set([60, 30, 10]);

const byId = (id) => document.getElementById(id);

export function idleDialog(client) {
  const dialog = byId('idle');
  let deadline = 0;
  let whole = 1;
  let timer;
  let title = '';

  client.onExpiring((seconds) => open(seconds));
  client.onExtended(() => close());
  byId('idle-stay').addEventListener('click', () => stay());
  byId('idle-out').addEventListener('click', (event) => leave(event.currentTarget));
  // Escape counts as the user's answer too.
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    stay();
  });

  function open(seconds) {
    deadline = performance.now() + seconds * 1000;
    whole = Math.max(1, seconds);
    say(byId('idle-error'), '');
    if (!dialog.open) {
      title = document.title;
      dialog.showModal();
    }
    clearInterval(timer);
    timer = setInterval(tick, 250);
    tick();
    byId('idle-said').textContent = `${Math.round(seconds)} seconds until you are signed out.`;
  }

  function tick() {
    const left = Math.max(0, Math.ceil((deadline - performance.now()) / 1000));
    const text = left === 0 ? 'Signing out…' : clock(left);
    if (byId('idle-count').textContent === text) return;
    byId('idle-count').textContent = text;
    byId('idle-fill').style.transform = `scaleX(${Math.min(1, left / whole)})`;
    document.title = left === 0 ? text : `${text} – still there?`;
    if (SPOKEN.has(left)) byId('idle-said').textContent = `${left} seconds left.`;
  }

  function close() {
    clearInterval(timer);
    if (!dialog.open) return;
    dialog.close();
    document.title = title;
  }

  function stay() {
    return busy(byId('idle-stay'), () => attempt(async () => {
      await client.keepAlive();
      if (dialog.open) say(byId('idle-error'), 'This session has reached its longest time. Sign in again to go on.');
    }));
  }

  function leave(button) {
    return busy(button, () => attempt(() => client.logout()));
  }

  async function attempt(work) {
    say(byId('idle-error'), '');
    try {
      await work();
    } catch (error) {
      if (error.status !== 401) say(byId('idle-error'), failureInWords(error));
    }
  }

  return { close };
}
