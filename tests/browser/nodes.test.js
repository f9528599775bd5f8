// Two browsers of one person on two nodes behind a proxy.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { device, launch, picture, signInHere, signUp, somebody, untilLive } from './support/browser.js';
import { behindCaddy, signIn } from './support/service.js';

/** The notice is there within this time of the click. */
const AT_ONCE_MS = 1000;
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

let service;
let browser;

before(async () => {
  service = await behindCaddy({ MAX_SESSIONS_PER_USER: '3' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

test('ending another device shows there at once, and its next request is refused', async () => {
  const person = somebody();
  const first = await device(browser, service.first, { userAgent: FIREFOX });
  const second = await device(browser, service.second);
  const token = accessTokenOf(second);
  await signUp(first, person);
  await untilLive(first);
  await signInHere(second, person);
  await untilLive(second);

  const row = first.byId('other-devices').getByTestId('device');
  await row.waitFor();
  await row.getByTestId('device-end').click();
  const clicked = performance.now();
  await second.byId('signed-out').waitFor({ timeout: 5000 });
  const took = performance.now() - clicked;
  console.log(`from the click on one node to the notice on the other: ${Math.round(took)} ms`);
  assert.ok(took < AT_ONCE_MS, `${took} ms`);
  assert.equal(await second.byId('signed-out-reason').innerText(), 'Chrome on Linux was signed out from Firefox on Linux.');
  await first.byId('others-none').waitFor();

  const refused = await fetch(`${service.second}/api/auth/me`, { headers: { authorization: await token } });
  assert.equal(refused.status, 401);
  assert.equal((await refused.json()).code, 'session_terminated');
  // The page, opened again, says it too and then offers to sign in.
  await second.page.reload();
  await second.byId('signed-out').waitFor();
  await second.byId('sign-in-again').click();
  await signInHere(second, person);
  await Promise.all([first.close(), second.close()]);
});

test('ending all others asks first, and ends each', async () => {
  const person = somebody();
  const first = await device(browser, service.first);
  const second = await device(browser, service.second);
  await signUp(first, person);
  await signInHere(second, person);
  await untilLive(second);
  await signIn(service.second, person, FIREFOX);
  await first.byId('other-devices').getByTestId('device').nth(1).waitFor();

  await first.byId('end-others').click();
  await first.byId('confirm-no').click();
  assert.equal(await first.byId('other-devices').getByTestId('device').count(), 2);
  await first.byId('end-others').click();
  await first.byId('confirm-yes').click();
  await second.byId('signed-out').waitFor();
  await first.byId('others-none').waitFor();
  await Promise.all([first.close(), second.close()]);
});

test('a device that has to make room for another shows why', async () => {
  const person = somebody();
  const oldest = await device(browser, service.first);
  await signUp(oldest, person);
  await untilLive(oldest);
  await signIn(service.second, person, FIREFOX);
  await signIn(service.second, person, FIREFOX);
  const latest = await device(browser, service.second);
  await signInHere(latest, person);
  assert.match(await latest.byId('status').innerText(), /1 other had to be signed out/);

  await oldest.byId('signed-out').waitFor();
  assert.equal(await oldest.byId('signed-out-reason').innerText(), 'Signed out because a fourth device signed in.');
  await picture(oldest, 'signed-out-evicted-desktop-light');
  await Promise.all([oldest.close(), latest.close()]);
});

test('a sign-out in one tab is a sign-out in the other', async () => {
  const tab = await device(browser, service.first);
  await signUp(tab, somebody());
  const other = await tab.context.newPage();
  await other.goto(service.first);
  await other.getByTestId('screen-devices').waitFor();
  await tab.byId('this-device').getByTestId('device-end').click();
  await tab.byId('screen-sign-in').waitFor();
  await other.getByTestId('signed-out').waitFor();
  assert.equal(await other.getByTestId('signed-out-reason').innerText(), 'Signed out in another tab of this browser.');
  await tab.close();
});

test('two tabs that refresh at once both stay signed in', async () => {
  const tab = await device(browser, service.any);
  await signUp(tab, somebody());
  const other = await tab.context.newPage();
  await other.goto(service.any);
  const pages = [tab.page, other];
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(pages.map((page) => page.reload()));
    await Promise.all(pages.map((page) => page.getByTestId('screen-devices').waitFor()));
  }
  // And where nothing holds them apart: the same cookie, twice at the same time, on whichever node.
  const refresh = () => fetch('/api/auth/refresh', { method: 'POST' }).then((answer) => answer.status);
  const statuses = await Promise.all(pages.flatMap((page) => [page.evaluate(refresh), page.evaluate(refresh)]));
  assert.deepEqual(statuses, [200, 200, 200, 200]);
  await Promise.all(pages.map((page) => page.reload()));
  await Promise.all(pages.map((page) => page.getByTestId('screen-devices').waitFor()));
  await tab.close();
});

// Last, because it takes a node away.
test('a page whose node is killed is back online on another', async () => {
  const person = somebody();
  const page = await device(browser, service.any);
  await signUp(page, person);
  await untilLive(page);
  const lost = page.page.locator('[data-testid="live-status"]:not([data-status="live"])').waitFor();
  await service.nodes[0].stop('SIGKILL');
  const killed = performance.now();
  await lost;
  await untilLive(page, 20_000);
  console.log(`back online ${Math.round(performance.now() - killed)} ms after the node was killed`);

  await signIn(service.second, person, FIREFOX);
  await page.byId('other-devices').getByTestId('device').waitFor();
  await page.byId('other-devices').getByTestId('device-end').click();
  await page.byId('others-none').waitFor();
  await page.close();
});

/** What the page sends with its requests, which it keeps in memory alone. */
async function accessTokenOf({ page }) {
  const request = await page.waitForRequest((request) => request.headers().authorization !== undefined, { timeout: 60_000 });
  return request.headers().authorization;
}
