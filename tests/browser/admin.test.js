// The operators' page: signed in with a key, somebody is found by the beginning of their address, and what is done to them shows
// at once in their own browser.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { device, expectAccessible, expectWhole, launch, PHONE, picture, signUp, somebody, untilLive } from './support/browser.js';
import { anotherSecond, freePort } from './support/processes.js';
import { alone, signIn } from './support/service.js';

const SCOPES = ['users:read', 'users:write', 'sessions:read', 'sessions:end'].flatMap((scope) => ['--scope', scope]);

let service;
let browser;

/** A service, and a key for operators. */
async function serviceWith(accounts) {
  const port = String(await freePort());
  const base = `http://localhost:${port}`;
  const settings = {
    PORT: port,
    APP_URL: base,
    CORS_ORIGIN: base,
    ENCRYPTION_SECRET: 'encryption-secret-of-the-tests-0123456789abcdef',
  };
  const started = await alone(settings, [['migrate'], ['api-keys', 'create', ...SCOPES]], accounts);
  const [key] = /ak_\w+/.exec(started.printed[1]);
  return { ...started, base, key };
}

before(async () => {
  service = await serviceWith(0);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

/** The operators' page, signed in with the key. */
async function operator(options, { base, key } = service) {
  const here = await device(browser, `${base}/admin`, options);
  const { page } = here;
  await page.getByLabel('Key').fill(key);
  await page.getByLabel('Key').press('Enter');
  await page.locator('#work').waitFor();
  await page.locator('#numbers dt', { hasText: 'live sessions' }).waitFor();
  return here;
}

async function find({ page }, person) {
  await page.getByLabel('Beginning of the email address').fill(person.email.slice(0, -12));
  // Nobody else's address begins so.
  await page.waitForFunction(() => document.querySelectorAll('#users li').length === 1);
  await page.locator('#users button', { hasText: person.email }).click();
  await page.locator('#user h3', { hasText: person.name }).waitFor();
}

test('somebody is found by the beginning of their address, and their device is signed out while they watch', async () => {
  const person = somebody('Grace Hopper');
  const theirs = await device(browser, service.base);
  await signUp(theirs, person);
  await untilLive(theirs);
  await signUp(await device(browser, service.base), somebody('Alan Turing'));

  const here = await operator();
  await find(here, person);
  assert.equal(await here.page.locator('#user li').count(), 1);
  await expectAccessible(here, 'operators: a person');
  await picture(here, 'admin-desktop');

  await here.page.locator('#user li').getByRole('button', { name: /^End the session on/ }).click();
  await theirs.page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await here.page.locator('#user', { hasText: 'No live session.' }).waitFor();
  await here.page.locator('#events li', { hasText: 'session.terminated' }).waitFor();
  await theirs.close();
  await here.close();
});

test('of two devices that are alike each has a button with a name of its own', async () => {
  const person = somebody('Emmy Noether');
  const theirs = await device(browser, service.base);
  await signUp(theirs, person);
  await signIn(service.base, person, 'curl/8.14.1');
  await anotherSecond();
  await signIn(service.base, person, 'curl/8.14.1');
  const here = await operator();
  await find(here, person);
  const names = await here.page.getByRole('button', { name: /^End the session on/ }).evaluateAll((buttons) => buttons.map((button) => button.ariaLabel));
  assert.equal(names.length, 3);
  assert.equal(new Set(names).size, 3, names.join('; '));
  await Promise.all([theirs.close(), here.close()]);
});

test('an account is disabled and enabled, and a new one invited, at a phone\'s width and by keyboard', async () => {
  const person = somebody('Katherine Johnson');
  const theirs = await device(browser, service.base, { viewport: PHONE });
  await signUp(theirs, person);
  await untilLive(theirs);

  const here = await operator({ viewport: PHONE });
  const { page } = here;
  await expectWhole(here, 'operators: phone');
  await page.getByLabel('Beginning of the email address').fill(person.email);
  await page.locator('#users button', { hasText: person.email }).focus();
  await page.keyboard.press('Enter');
  await page.locator('#user h3', { hasText: person.name }).waitFor();
  await expectWhole(here, 'operators: phone');
  await expectAccessible(here, 'operators: phone');
  await picture(here, 'admin-phone');

  const disable = page.getByRole('button', { name: 'Disable' });
  await disable.focus();
  await page.keyboard.press('Enter');
  await page.locator('#confirm[open]').waitFor();
  // Escape is no.
  await page.keyboard.press('Escape');
  await page.locator('#confirm:not([open])').waitFor({ state: 'attached' });
  await disable.click();
  await page.locator('#confirm').getByRole('button', { name: 'Confirm' }).click();
  await theirs.page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await page.getByRole('button', { name: 'Enable' }).click();
  await disable.waitFor();

  await page.getByRole('button', { name: 'Mail a password reset' }).click();
  await page.locator('#confirm').getByRole('button', { name: 'Confirm' }).click();
  await page.locator('#message', { hasText: 'on its way' }).waitFor();
  await mailed('password_reset', person.email);

  const guest = somebody('Mary Jackson');
  await page.getByRole('button', { name: 'New account' }).click();
  await page.getByLabel('Name').fill(guest.name);
  await page.locator('#new-email').fill(guest.email);
  await page.getByLabel('Mail an invitation').check();
  await page.locator('#create').getByRole('button', { name: 'Create' }).click();
  await page.locator('#user h3', { hasText: guest.name }).waitFor();
  await mailed('invitation', guest.email);
  await theirs.close();
  await here.close();
});

test('a key that is no good opens nothing', async () => {
  const here = await device(browser, `${service.base}/admin`);
  await here.page.getByLabel('Key').fill(`${service.key.slice(0, -4)}0000`);
  await here.page.getByLabel('Key').press('Enter');
  await here.page.locator('#message:not(:empty)').waitFor();
  assert.equal(await here.page.locator('#work').isVisible(), false);
  await here.close();
});

test('with 100,000 live sessions somebody is found, and their device is signed out, as quickly', async (t) => {
  const crowd = await serviceWith(200_000);
  t.after(() => crowd.stop());
  const person = somebody('Radia Perlman');
  const theirs = await device(browser, crowd.base);
  await signUp(theirs, person);
  await untilLive(theirs);

  const here = await operator({}, crowd);
  const { page } = here;
  await page.locator('#numbers div', { hasText: 'live sessions' }).filter({ hasText: '100,001' }).waitFor();
  await page.locator('#numbers div', { hasText: 'accounts' }).filter({ hasText: '200,001' }).waitFor();
  assert.equal(await page.locator('#users li').count(), 20);
  await page.getByRole('button', { name: 'More' }).click();
  await page.waitForFunction(() => document.querySelectorAll('#users li').length === 40);
  // Of many with that beginning, the newest come first.
  await page.getByLabel('Beginning of the email address').fill('legacy');
  await page.locator('#users li', { hasText: 'legacy.' }).first().waitFor();

  const began = performance.now();
  await find(here, person);
  await page.locator('#user li').getByRole('button', { name: /^End the session on/ }).click();
  await theirs.page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  const took = performance.now() - began;
  t.diagnostic(`found and signed out in ${took.toFixed(0)} ms`);
  assert.ok(took < 5000, `${took} ms`);
  await picture(here, 'admin-crowd');
  await theirs.close();
  await here.close();
});

/** Waits for the file of that mail. */
async function mailed(kind, address) {
  const folder = join(service.folder, 'mails');
  for (let tries = 0; tries < 100; tries += 1) {
    const files = await readdir(folder).catch(() => []);
    for (const file of files.filter((name) => name.includes(kind))) {
      if ((await readFile(join(folder, file), 'utf8')).includes(address)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`no mail of kind ${kind} to ${address}`);
}
