// One screen at a time. The new screen takes the focus, so that keyboard and screen reader users
// start at the same place.

const TITLES = {
  'sign-in': 'Sign in',
  'sign-up': 'Create an account',
  step: 'Second step',
  'confirm-sign-up': 'Confirm your email',
  forgot: 'Forgotten password',
  reset: 'New password',
  devices: 'Your devices',
  'signed-out': 'Signed out',
  unreachable: 'No answer',
};

const listeners = [];

/** Calls the listener with the name of each screen that is shown. */
export function onScreen(listener) {
  listeners.push(listener);
}

/** Calls the listener once: now if that screen is shown, else when it is first shown. */
export function whenFirstShown(name, work) {
  if (isShown(name)) {
    work();
    return;
  }
  listeners.push(function listener(shown) {
    if (shown !== name) return;
    listeners.splice(listeners.indexOf(listener), 1);
    work();
  });
}

export function isShown(name) {
  return !screen(name).hidden;
}

export function show(name) {
  if (isShown(name)) return;
  for (const one of document.querySelectorAll('[data-screen]')) one.hidden = one.dataset.screen !== name;
  document.title = TITLES[name] ?? 'Your devices';
  window.scrollTo(0, 0);
  (screen(name).querySelector('form input') ?? screen(name).querySelector('h1'))?.focus();
  for (const listener of [...listeners]) listener(name);
}

/** Shows a line of text in its place, or removes it. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = text === '';
}

/** Keeps a button from being pressed again while its work runs. It stays focusable. */
export async function busy(button, work) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    await work();
  } finally {
    button.removeAttribute('aria-busy');
  }
}

function screen(name) {
  return document.querySelector(`[data-screen="${name}"]`);
}
