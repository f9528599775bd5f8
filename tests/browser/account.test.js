// The rest of an account's life on the page: a forgotten password, a confirmed address, an authenticator app, passkeys. The
// mails are read from the files that the service writes without SMTP.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { device, expectAccessible, launch, PHONE, picture, signInHere, signUp, somebody } from './support/browser.js';
import { freePort } from './support/processes.js';
import { alone } from './support/service.js';

let service;
let browser;
let base;

before(async () => {
  const port = String(await freePort());
  base = `http://localhost:${port}`;
  service = await alone({
    PORT: port,
    APP_URL: base,
    CORS_ORIGIN: base,
    ENCRYPTION_SECRET: 'encryption-secret-of-the-tests-0123456789abcdef',
    ACCOUNT_DELETION_DAYS: '0',
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

test('a forgotten password is reset with the code of a mail', async () => {
  const here = await device(browser, base, { viewport: PHONE });
  const person = somebody();
  await signUp(here, person);
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('to-forgot').click();
  await here.byId('forgot-email').fill(person.email);
  await expectAccessible(here, 'forgot');
  await here.byId('forgot-submit').click();
  await here.byId('screen-reset').waitFor();
  await expectAccessible(here, 'reset');
  await picture(here, 'reset-phone-light');

  await here.byId('reset-code').fill('00000000');
  await here.byId('reset-password').fill('another long evening');
  await here.byId('reset-submit').click();
  await here.byId('reset-code-error').waitFor();
  await here.byId('reset-code').fill(await codeIn(person.email, 'password_reset'));
  await here.byId('reset-submit').click();
  await here.byId('screen-sign-in').waitFor();
  await signInHere(here, { ...person, password: 'another long evening' });
  await here.close();
});

test('the link of the mail brings the code along, and does nothing by itself', async () => {
  const person = somebody();
  const here = await device(browser, base);
  await signUp(here, person);
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('to-forgot').click();
  await here.byId('forgot-email').fill(person.email);
  await here.byId('forgot-submit').click();
  await here.byId('screen-reset').waitFor();
  const link = new RegExp(`${base}/reset-password#\\S+`).exec(await mailTo(person.email, 'password_reset'))[0].replace(/["<].*/, '');
  await here.page.goto(link.replaceAll('&amp;', '&'));
  await here.byId('screen-reset').waitFor();
  await here.byId('reset-password').fill('a third long evening');
  await here.byId('reset-submit').click();
  await here.byId('screen-sign-in').waitFor();
  await signInHere(here, { ...person, password: 'a third long evening' });
  await here.close();
});

test('the address is confirmed, the password changed, and the account deleted', async () => {
  const here = await device(browser, base);
  const person = somebody();
  await signUp(here, person);
  await here.byId('verify-email').click();
  await here.byId('ask-dialog').waitFor();
  // The first came with the sign-up.
  await here.byId('ask-code').fill(await codeIn(person.email, 'email_verification', 2));
  await here.byId('ask-yes').click();
  await here.page.locator('[data-testid="email-state"]', { hasText: /^Confirmed$/ }).waitFor();

  await here.byId('change-password').click();
  await here.byId('ask-currentPassword').fill('wrong');
  await here.byId('ask-newPassword').fill('a new long evening');
  await here.byId('ask-yes').click();
  await here.byId('ask-error').waitFor();
  await expectAccessible(here, 'change password');
  await here.byId('ask-currentPassword').fill(person.password);
  await here.byId('ask-yes').click();
  await here.byId('account-status').waitFor();
  assert.match(await here.byId('account-status').innerText(), /password is changed/);

  await here.byId('delete-account').click();
  await here.byId('ask-yes').click();
  await here.byId('screen-sign-in').waitFor();
  await here.byId('signin-email').fill(person.email);
  await here.byId('signin-password').fill('a new long evening');
  await here.byId('signin-submit').click();
  await here.byId('signin-error').waitFor();
  await here.close();
});

test('an authenticator app is set up, asked for at the next sign-in, and a recovery code does in its place', async () => {
  const here = await device(browser, base, { viewport: PHONE });
  const person = somebody();
  await signUp(here, person);
  await here.byId('add-totp').click();
  await here.byId('totp-secret').waitFor();
  const secret = (await here.byId('totp-secret').innerText()).replace(/\s/g, '');
  await expectAccessible(here, 'authenticator app');
  await picture(here, 'totp-phone-light');
  await here.byId('ask-code').fill(totp(secret, -1));
  await here.byId('ask-yes').click();
  await here.byId('recovery-codes').waitFor();
  const [recovery] = (await here.byId('recovery-codes').innerText()).split('\n');
  await here.byId('ask-yes').click();
  await here.byId('this-device').getByTestId('device-end').click();

  await fillSignIn(here, person);
  await here.byId('screen-step').waitFor();
  await expectAccessible(here, 'second step');
  await here.page.locator('#ask-code').fill('000000');
  await here.byId('step-submit').click();
  await here.page.locator('#ask-code-error').waitFor();
  await here.page.locator('#ask-code').fill(totp(secret));
  await here.byId('step-submit').click();
  await here.byId('screen-devices').waitFor();
  await here.byId('this-device').getByTestId('device-end').click();

  await fillSignIn(here, person);
  await here.byId('step-recovery').click();
  await here.page.locator('#ask-recoveryCode').fill(recovery);
  await here.byId('step-submit').click();
  await here.byId('screen-devices').waitFor();
  await here.close();
});

test('a passkey is added, and signs in without an address or a password', async () => {
  const here = await device(browser, base);
  const session = await here.context.newCDPSession(here.page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const person = somebody();
  await signUp(here, person);
  await here.byId('add-passkey').click();
  await here.byId('ask-name').fill('Laptop');
  await here.byId('ask-yes').click();
  await here.byId('passkey').waitFor();
  assert.match(await here.byId('passkey').innerText(), /Laptop/);
  await expectAccessible(here, 'passkeys');
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('signin-passkey').click();
  await here.byId('screen-devices').waitFor();
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('screen-sign-in').waitFor();
  // A new page offers passkeys in the email field by itself (conditional mediation); the virtual device takes the offer.
  await here.page.reload();
  await here.byId('screen-devices').waitFor();
  await here.close();
});

async function fillSignIn({ byId }, { email, password }) {
  await byId('screen-sign-in').waitFor();
  await byId('signin-email').fill(email);
  await byId('signin-password').fill(password);
  await byId('signin-submit').click();
}

/** The text of the newest mail of that kind to that address, once there are as many as that. */
async function mailTo(email, kind, count = 1) {
  const folder = join(service.folder, 'mails');
  for (let tries = 0; tries < 400; tries += 1) {
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml') && name.includes(kind)).sort();
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    const found = texts.filter((text) => text.includes(email));
    if (found.length >= count) return found.at(-1).replace(/=\r?\n/g, '').replaceAll('=3D', '=');
    await pause(25);
  }
  throw new Error(`no mail of kind ${kind} to ${email}`);
}

async function codeIn(email, kind, count) {
  return /\b(\d{4}) ?(\d{4})\b/.exec((await mailTo(email, kind, count)).split(/\r?\n\r?\n/).slice(1).join('\n'))
    .slice(1).join('');
}

/** RFC 6238: SHA-1, 6 digits, 30 s. */
function totp(secret, stepsAgo = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + stepsAgo));
  const hash = createHmac('sha1', key).update(counter).digest();
  const offset = hash[19] & 15;
  return String((hash.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, '0');
}
