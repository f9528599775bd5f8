// What a person needs of the page at first sight: a quiet console, rows that can be told apart, words that name the
// device, and nothing cut off.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { device, expectWhole, launch, PHONE, picture, signInHere, signUp, somebody, untilLive } from './support/browser.js';
import { anotherSecond } from './support/processes.js';
import { alone, signIn } from './support/service.js';

const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
/** The longest that an address of the network can be. */
const LONG_ADDRESS = '2001:db8:1234:5678:9abc:def0:1234:5678';

let service;
let browser;

before(async () => {
  service = await alone({ TRUSTED_PROXIES: '127.0.0.1', ENCRYPTION_SECRET: 'encryption-secret-of-the-tests-0123456789' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

for (const path of ['/', '/reset-password', '/admin', '/docs/', '/api/auth/docs/']) {
  test(`the first visit to ${path} is quiet`, async () => {
    const context = await browser.newContext();
    await quiet(context, (page) => page.goto(service.base + path));
    await context.close();
  });
}

test('a visit after signing out is as quiet as the first', async () => {
  const here = await device(browser, service.base);
  await signUp(here, somebody());
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('screen-sign-in').waitFor();
  await quiet(here.context, (page) => page.goto(service.base));
  await here.close();
});

test('of two devices that are alike each has a button with a name of its own', async () => {
  const here = await device(browser, service.base);
  const person = somebody();
  await signUp(here, person);
  await untilLive(here);
  await signIn(service.base, person, FIREFOX);
  await anotherSecond();
  await signIn(service.base, person, FIREFOX);
  const rows = here.byId('other-devices').getByTestId('device');
  await rows.nth(1).waitFor();
  const names = await rows.getByRole('button').evaluateAll((buttons) => buttons.map((button) => button.ariaLabel));
  assert.equal(new Set(names).size, 2, names.join('; '));
  // The named one ends, and no other.
  const { sessions } = await list(await signIn(service.base, person, IPHONE));
  const [older] = sessions.filter(({ deviceInfo }) => deviceInfo.browser === 'Firefox').sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  const row = here.page.locator(`[data-session-id="${older.id}"]`);
  await here.page.getByRole('button', { name: await row.getByRole('button').getAttribute('aria-label'), exact: true }).click();
  await row.waitFor({ state: 'detached' });
  assert.equal(await rows.count(), 2);
  await here.close();
});

for (const [what, userAgent, by, sentence] of [
  ['a phone ends a desktop', FIREFOX, { userAgent: IPHONE }, 'Firefox on Linux was signed out from Safari on iPhone.'],
  ['a desktop ends a phone', IPHONE, { userAgent: FIREFOX }, 'Safari on iPhone was signed out from Firefox on Linux.'],
  ['a device with a name ends one of the same kind', FIREFOX, { userAgent: FIREFOX, deviceName: 'Kitchen' }, 'Firefox on Linux was signed out from Kitchen.'],
]) {
  test(`${what}: the words say which ended which`, async () => {
    const here = await device(browser, service.base, { userAgent });
    const person = somebody();
    await signUp(here, person);
    await untilLive(here);
    const other = await signIn(service.base, person, by.userAgent, by.deviceName);
    await here.byId('other-devices').getByTestId('device').waitFor();
    const { sessions } = await list(other);
    await ask(other, 'DELETE', `/sessions/${sessions.find(({ current }) => !current).id}`);
    await here.byId('signed-out').waitFor();
    assert.equal(await here.byId('signed-out-reason').innerText(), sentence);
    await here.close();
  });
}

test('on a phone the longest name, email and addresses are whole', async () => {
  const here = await device(browser, service.base, {
    viewport: PHONE, userAgent: IPHONE, extraHTTPHeaders: { 'x-forwarded-for': LONG_ADDRESS },
  });
  const person = { ...somebody(), name: 'W'.repeat(100), email: `${'w'.repeat(64)}@${'long-'.repeat(11)}name.example.com` };
  await signUp(here, person);
  await signIn(service.base, person, FIREFOX, 'W'.repeat(100));
  await here.byId('other-devices').getByTestId('device').waitFor();
  assert.equal(await here.byId('this-device').getByTestId('device-address').innerText(), LONG_ADDRESS);
  assert.equal(await here.byId('user-email').innerText(), person.email);
  await picture(here, 'devices-long-phone-light');
  await expectWhole(here, 'devices');
  await here.byId('end-others').click();
  await expectWhole(here, 'the question before all others are signed out');
  await here.byId('confirm-no').click();
  await here.byId('this-device').getByTestId('device-end').click();
  await here.byId('screen-sign-in').waitFor();
  await signInHere(here, person);
  await expectWhole(here, 'devices after another sign-in');
  const other = await signIn(service.base, person, FIREFOX, 'W'.repeat(100));
  const { sessions } = await list(other);
  await ask(other, 'DELETE', `/sessions/${sessions.find(({ deviceInfo }) => deviceInfo.browser === 'Safari').id}`);
  await here.byId('signed-out').waitFor();
  await expectWhole(here, 'the notice of a sign-out');
  await here.close();
});

/** Opens a page, and insists that nothing was refused or complained about until its network was idle. */
async function quiet(context, open) {
  const heard = [];
  context.on('console', (message) => heard.push(`console: ${message.text()}`));
  context.on('weberror', (error) => heard.push(`error: ${error.error()}`));
  context.on('requestfailed', (request) => heard.push(`failed: ${request.url()}`));
  context.on('response', (answer) => answer.status() >= 400 && heard.push(`${answer.status()}: ${answer.url()}`));
  const page = await context.newPage();
  await open(page);
  await page.waitForLoadState('networkidle');
  assert.ok((await page.locator('body').innerText()).length > 0, 'the page shows something');
  assert.deepEqual(heard, []);
}

const list = (signedIn) => ask(signedIn, 'GET', '/sessions');

async function ask({ accessToken }, method, path) {
  const answer = await fetch(`${service.base}/api/auth${path}`, { method, headers: { authorization: `Bearer ${accessToken}` } });
  return answer.status === 204 ? null : answer.json();
}
