// How the page looks: kept as pictures for people, and looked through by axe for what keeps some people out.
import { after, before, test } from 'node:test';
import { DESKTOP, device, expectAccessible, expectWhole, launch, PHONE, picture, signUp, somebody, untilLive } from './support/browser.js';
import { alone, signIn } from './support/service.js';

const AGENTS = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'curl/8.14.1',
];

let service;
let browser;

before(async () => {
  service = await alone();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`the screens on a ${size}, ${colorScheme}`, async () => {
      const here = await device(browser, service.base, { viewport, colorScheme, reducedMotion: 'reduce' });
      const look = async (screen) => {
        await expectAccessible(here, `${screen} on a ${size}, ${colorScheme}`);
        await expectWhole(here, `${screen} on a ${size}, ${colorScheme}`);
        await picture(here, `${screen}-${size}-${colorScheme}`);
      };
      await here.byId('screen-sign-in').waitFor();
      await look('sign-in');
      await here.byId('signin-submit').click();
      await look('sign-in-mistakes');
      await here.byId('to-signup').click();
      await look('sign-up');
      await here.byId('to-signin').click();

      const person = somebody();
      await signUp(here, person);
      await untilLive(here);
      await here.byId('others-none').waitFor();
      await look('devices-one');
      for (const agent of AGENTS) await signIn(service.base, person, agent);
      await here.byId('other-devices').getByTestId('device').nth(AGENTS.length - 1).waitFor();
      await look('devices');
      await here.byId('end-others').click();
      await look('confirm');
      await here.byId('confirm-no').click();

      const other = await signIn(service.base, person, AGENTS[1]);
      const { sessions } = await ask(other, 'GET', '/sessions');
      await ask(other, 'DELETE', `/sessions/${sessions.find(({ deviceInfo }) => deviceInfo.browser === 'Chrome').id}`);
      await here.byId('signed-out').waitFor();
      await look('signed-out');
      await here.close();
    });
  }
}

async function ask({ accessToken }, method, path) {
  const answer = await fetch(`${service.base}/api/auth${path}`, { method, headers: { authorization: `Bearer ${accessToken}` } });
  return answer.status === 204 ? null : answer.json();
}
