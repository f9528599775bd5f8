// An account's whole life on a phone, with mails from a real mail server, and how these mails look.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { device, expectAccessible, expectWhole, launch, PHONE, picture, signInHere, signUp, somebody } from './support/browser.js';
import { mailbox } from './support/mailbox.js';
import { freePort } from './support/processes.js';
import { alone } from './support/service.js';

let service;
let browser;
let base;
let mails;

async function serviceWith(settings = {}) {
  const port = String(await freePort());
  const address = `http://localhost:${port}`;
  const started = await alone({
    PORT: port,
    APP_URL: address,
    CORS_ORIGIN: address,
    SMTP_URL: mails.url,
    MAIL_FROM: 'Example <no-reply@example.com>',
    ENCRYPTION_SECRET: 'encryption-secret-of-the-tests-0123456789abcdef',
    ACCOUNT_DELETION_DAYS: '0',
    ...settings,
  });
  return { ...started, base: address };
}

before(async () => {
  mails = await mailbox();
  service = await serviceWith();
  base = service.base;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
  await mails?.stop();
});

const code = ({ text }) => /^\s*(\d{8})\s*$/m.exec(text)[1];

test('sign up, confirm, forget, reset, change the address and delete the account', async () => {
  const here = await device(browser, base, { viewport: PHONE, isMobile: true, hasTouch: true });
  const { byId, page } = here;
  const person = somebody('Ada Lovelace');
  await signUp(here, person);
  await expectWhole(here, 'phone');

  await byId('verify-email').tap();
  await byId('ask-dialog').waitFor();
  await expectWhole(here, 'phone');
  await byId('ask-code').fill(code(await mails.mail(person.email, /is your code/, 2)));
  await byId('ask-yes').tap();
  await page.locator('[data-testid="email-state"]', { hasText: /^Confirmed$/ }).waitFor();

  await byId('this-device').getByTestId('device-end').tap();
  await byId('to-forgot').tap();
  await byId('forgot-email').fill(person.email);
  await expectWhole(here, 'phone');
  await byId('forgot-submit').tap();
  await byId('screen-reset').waitFor();
  await byId('reset-code').fill(code(await mails.mail(person.email, /Set a new password/)));
  await byId('reset-password').fill('another long evening');
  await expectWhole(here, 'phone');
  await byId('reset-submit').tap();
  await byId('screen-sign-in').waitFor();
  const renewed = { ...person, password: 'another long evening' };
  await signInHere(here, renewed);
  await mails.mail(person.email, /was changed/);

  const moved = { ...renewed, email: `new-${person.email}` };
  await byId('change-email').tap();
  await byId('ask-newEmail').fill(moved.email);
  await byId('ask-yes').tap();
  await byId('ask-code').waitFor();
  await expectWhole(here, 'phone');
  await byId('ask-code').fill(code(await mails.mail(moved.email, /is your code/)));
  await byId('ask-yes').tap();
  await page.locator('#account-email', { hasText: moved.email }).waitFor();
  await mails.mail(person.email, /is to change/);
  await expectWhole(here, 'phone');

  await byId('delete-account').tap();
  await byId('ask-dialog').waitFor();
  await expectWhole(here, 'phone');
  await byId('ask-yes').tap();
  await byId('screen-sign-in').waitFor();
  await mails.mail(moved.email, /was deleted/);
  await byId('signin-email').fill(moved.email);
  await byId('signin-password').fill(moved.password);
  await byId('signin-submit').tap();
  await byId('signin-error').waitFor();
  await here.close();
});

test('a proof of the person is asked for in between, and what was typed before it stays', async (t) => {
  const strict = await serviceWith({ FRESH_AUTH_SECONDS: '1' });
  t.after(() => strict.stop());
  const here = await device(browser, strict.base, { viewport: PHONE });
  const { byId, page } = here;
  const person = somebody('Alan Turing');
  await signUp(here, person);
  await pause(1100);

  await byId('change-email').click();
  await byId('ask-newEmail').fill(`new-${person.email}`);
  await byId('ask-yes').click();
  // Cancelled, it is back at the question before it.
  await byId('ask-password').waitFor();
  await byId('ask-no').click();
  await byId('ask-newEmail').waitFor();
  assert.equal(await byId('ask-newEmail').inputValue(), `new-${person.email}`);
  await byId('ask-yes').click();
  await byId('ask-password').fill('a wrong password');
  await byId('ask-yes').click();
  await byId('ask-error').waitFor();
  await byId('ask-password').fill(person.password);
  await page.keyboard.press('Enter');
  await byId('ask-code').fill(code(await mails.mail(`new-${person.email}`, /is your code/)));
  await byId('ask-yes').click();
  await page.locator('#account-email', { hasText: `new-${person.email}` }).waitFor();

  await pause(1100);
  await byId('delete-account').click();
  await byId('ask-yes').click();
  // Escape leaves everything as it is.
  await byId('ask-password').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#ask:not([open])').waitFor({ state: 'attached' });
  await byId('delete-account').click();
  await byId('ask-yes').click();
  await byId('ask-password').fill(person.password);
  await byId('ask-yes').click();
  await byId('screen-sign-in').waitFor();
  await here.close();
});

test('a scanner that follows every link of a mail, and presses every button there, changes nothing', async () => {
  const person = somebody('Barbara Liskov');
  const here = await device(browser, base);
  await signUp(here, person);
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('to-forgot').click();
  await here.byId('forgot-email').fill(person.email);
  await here.byId('forgot-submit').click();
  await here.byId('screen-reset').waitFor();
  const mail = await mails.mail(person.email, /Set a new password/);
  const [link] = /https?:\S+/.exec(mail.text);

  const scanner = await device(browser, link);
  await scanner.byId('screen-reset').waitFor();
  const names = await scanner.page.getByRole('button').allInnerTexts();
  assert.ok(names.length > 0);
  for (let number = 0; number < names.length; number += 1) {
    await scanner.page.goto('about:blank');
    await scanner.page.goto(link);
    await scanner.byId('screen-reset').waitFor();
    await scanner.page.getByRole('button').nth(number).click();
    await pause(200);
  }
  await scanner.close();

  // The password is as it was, and so is the code.
  await signInHere(await device(browser, base), person);
  await here.byId('reset-code').fill(code(mail));
  await here.byId('reset-password').fill('another long evening');
  await here.byId('reset-submit').click();
  await here.byId('screen-sign-in').waitFor();
  await signInHere(here, { ...person, password: 'another long evening' });
  await here.close();
});

test('mails read well on a phone and on a desktop, in light and in dark', async () => {
  const person = somebody('Grace Hopper');
  const here = await device(browser, base);
  await signUp(here, person);
  await here.close();
  const answer = await fetch(`${base}/password/reset`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: person.email, locale: 'de' }),
  });
  assert.equal(answer.status, 202);
  const kinds = { verification: /is your code/, reset: /Passwort/ };
  for (const [kind, subject] of Object.entries(kinds)) {
    const mail = await mails.mail(person.email, subject);
    for (const [size, viewport] of [['phone', PHONE], ['desktop', undefined]]) {
      for (const colorScheme of ['light', 'dark']) {
        const reader = await device(browser, 'about:blank', { colorScheme, ...(viewport && { viewport }) });
        await reader.page.setContent(mail.html);
        await reader.page.getByText(code(mail)).first().waitFor();
        await expectWhole(reader, `mail: ${kind}`);
        await expectAccessible(reader, `mail: ${kind}`);
        await picture(reader, `mail-${kind}-${size}-${colorScheme}`);
        await reader.close();
      }
    }
  }
});
