// The count-down before an idle end.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { device, expectAccessible, launch, picture, PHONE, signUp, somebody, untilLive } from './support/browser.js';
import { alone } from './support/service.js';

let service;
let browser;

before(async () => {
  // Nine seconds, of which the last five are warned of.
  service = await alone({ SESSION_TIMEOUT_MINUTES: '0.15', SESSION_WARNING_SECONDS: '5' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

test('it is asked before, staying puts it off, and silence ends it', async () => {
  const { page, byId, ...rest } = await device(browser, service.base, { viewport: PHONE });
  const here = { page, byId, ...rest };
  await signUp(here, somebody());
  await untilLive(here);

  await byId('idle-dialog').waitFor();
  assert.match(await byId('idle-countdown').innerText(), /^0:0[1-5]$/);
  await expectAccessible(here, 'idle dialog');
  await picture(here, 'idle-dialog-phone-light');
  await byId('idle-stay').click();
  await byId('idle-dialog').waitFor({ state: 'hidden' });
  assert.equal(await page.title(), 'Your devices');
  assert.ok(await byId('screen-devices').isVisible());

  // The keyboard reaches the way out: Escape stays signed in.
  await byId('idle-dialog').waitFor();
  await page.keyboard.press('Escape');
  await byId('idle-dialog').waitFor({ state: 'hidden' });

  await byId('idle-dialog').waitFor();
  await byId('signed-out').waitFor({ timeout: 15_000 });
  assert.equal(await byId('signed-out-reason').innerText(), 'Signed out because of inactivity.');
  assert.equal(await byId('signed-out-advice').innerText(), 'Nothing was done here for 9 seconds.');
  assert.ok(await byId('idle-dialog').isHidden());
  await here.close();
});

test('who does something is not asked', async () => {
  const here = await device(browser, service.base);
  await signUp(here, somebody());
  const until = Date.now() + 12_000;
  while (Date.now() < until) {
    await here.page.mouse.wheel(0, 40);
    await here.page.waitForTimeout(500);
    assert.ok(await here.byId('idle-dialog').isHidden(), 'nobody who is there is asked');
  }
  assert.ok(await here.byId('screen-devices').isVisible());
  await here.close();
});
