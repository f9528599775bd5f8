// The page's language: times, devices, reasons and failures in plain words. This file does not
// touch the DOM.

const ago = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const dateTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const toTheSecond = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' });

/** Activity within this many seconds counts as now: reports arrive at most every 15. */
const NOW_SECONDS = 45;

/** "now", "3 minutes ago", "yesterday". */
export function timeAgo(time, now) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < NOW_SECONDS) return 'now';
  if (seconds < 3570) return ago.format(-Math.max(1, Math.round(seconds / 60)), 'minute');
  if (seconds < 84_600) return ago.format(-Math.round(seconds / 3600), 'hour');
  return ago.format(-Math.round(seconds / 86_400), 'day');
}

export function fullTime(time) {
  return dateTime.format(new Date(time));
}

/** With seconds, where times tell things apart. */
export function exactTime(time) {
  return toTheSecond.format(new Date(time));
}

/** "0:45". */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** "Firefox on Linux", or the part of it that is known. */
export function kindOf({ browser, os }) {
  if (browser && os) return `${browser} on ${os}`;
  return browser || os || 'Unknown browser';
}

export function nameOf(device) {
  return device.deviceInfo.name || kindOf(device.deviceInfo);
}

/** "7 days", "90 minutes", "3 seconds": whole numbers of the largest unit that fits. */
export function span(seconds) {
  const units = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];
  const [unit, size] = units.find(([, size]) => seconds >= size && seconds % size === 0) ?? ['second', 1];
  return count(Math.round(seconds / size), unit);
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

const ORDINALS = ['a first', 'a second', 'a third', 'a fourth', 'a fifth', 'a sixth', 'a seventh', 'an eighth', 'a ninth', 'a tenth', 'an eleventh'];

/** "a sixth device" where five are allowed. */
function oneTooMany(config) {
  return `${ORDINALS[config?.maxSessionsPerUser] ?? 'another'} device`;
}

/**
 * Why the session on the device `own` ended, as one sentence, and advice. Everything but the reason
 * may be missing.
 */
export function reasonInWords(reason, { own, by, config }) {
  const unknown = 'If that was not you, sign in again and look through your devices.';
  switch (reason) {
    case 'terminated':
      return [`${own ? nameOf(own) : 'This device'} was signed out from ${by ? nameOf(by) : 'another device'}.`, unknown];
    case 'idle_timeout':
      return [
        'Signed out because of inactivity.',
        config ? `Nothing was done here for ${span(config.sessionTimeoutMinutes * 60)}.` : '',
      ];
    case 'expired':
      return [
        'Signed out because the session reached its maximum age.',
        config ? `After ${span(config.sessionLifetimeHours * 3600)} everyone signs in again.` : '',
      ];
    case 'evicted':
      return [
        `Signed out because ${oneTooMany(config)} signed in.`,
        config ? `Up to ${count(config.maxSessionsPerUser, 'device')} can be signed in at once; the one least recently active makes room.` : '',
      ];
    case 'refresh_token_reused':
      return ['Signed out for your safety.', 'A token of this session was used twice, as happens when someone copies it.'];
    case 'replaced':
      return ['Signed out because you signed in again in this browser.', ''];
    case 'credentials_changed':
      return ['Signed out because your password was changed.', unknown];
    case 'user_deleted':
      return ['Signed out because the account was deleted.', ''];
    case 'logged_out':
      return ['Signed out in another tab of this browser.', ''];
    default:
      return ['This session is no longer valid.', 'Sign in again to go on.'];
  }
}

/** What to show about a failed request. */
export function failureInWords(error) {
  if (error.code === 'network') return 'The service could not be reached. Check your connection and try again.';
  if (error.code === 'rate_limited') {
    return `Too many attempts. Please wait ${span(Math.max(1, error.retryAfterSeconds ?? 60))} and try again.`;
  }
  if (error.code === 'invalid_credentials') return 'Wrong email or password.';
  if (error.code === 'email_taken') return 'An account with this email already exists.';
  if (error.code === 'session_limit_reached') return 'You are signed in on too many devices. Sign out on one of them first.';
  if (error.code === 'wrong_password') return 'That is not your current password.';
  if (error.code === 'last_sign_in_method') return 'This is your last way to sign in. Add another one first.';
  if (error.code === 'factor_blocked') return 'Too many wrong codes. Use another way to sign in.';
  if (error.temporary) return 'The service is busy right now. Please try again in a moment.';
  return error.message || 'That did not work. Please try again.';
}
