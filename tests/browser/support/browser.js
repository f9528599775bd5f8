// The browser, its devices, and what a person does on the page.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const SCREENSHOTS = new URL('../../../build/screenshots/', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** It speaks to the tested service and to nobody else. */
const QUIET = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-sync',
  '--metrics-recording-only',
  '--no-first-run',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

let people = 0;

/** Somebody who has no account yet. */
export function somebody(name = 'Ada Lovelace') {
  people += 1;
  const email = `${name.split(' ')[0].toLowerCase()}${people}@example.com`;
  return { name, email, password: 'a password long enough' };
}

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: QUIET });
}

/** A browser of its own for one person: own cookies, own tabs. */
export async function device(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const faults = [];
  context.on('weberror', (error) => faults.push(String(error.error())));
  // The browser tells of every refused request; a refusal is often what a test is about.
  context.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')
      && !message.text().includes('WebSocket connection to')) faults.push(message.text());
  });
  const page = await context.newPage();
  await page.goto(base);
  return {
    context,
    page,
    byId: (id) => page.getByTestId(id),
    async close() {
      await context.close();
      assert.deepEqual(faults, [], 'the page has made no mistake');
    },
  };
}

export async function signUp({ byId }, person) {
  await byId('to-signup').click();
  await byId('signup-name').fill(person.name);
  await byId('signup-email').fill(person.email);
  await byId('signup-password').fill(person.password);
  await byId('signup-submit').click();
  await byId('screen-devices').waitFor();
}

export async function signInHere({ byId }, person) {
  await byId('signin-email').fill(person.email);
  await byId('signin-password').fill(person.password);
  await byId('signin-submit').click();
  await byId('screen-devices').waitFor();
}

export async function untilLive({ page }, timeout = 10_000) {
  await page.locator('[data-testid="live-status"][data-status="live"]').waitFor({ timeout });
}

/** Keeps a picture of what is on the screen. */
export async function picture({ page }, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage: true });
}

/** Insists that no text is cut off, and that nothing sticks out of the window. */
export async function expectWhole({ page }, what) {
  const cut = await page.evaluate(() => {
    const shown = [...document.body.querySelectorAll('*')].filter((element) => element.checkVisibility() && !element.closest('svg, .unseen'));
    const isCut = (element) => getComputedStyle(element).display !== 'inline' && element.clientWidth > 0 && element.scrollWidth > element.clientWidth;
    const isOutside = (element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && (left < 0 || right > innerWidth + 0.5);
    };
    return shown.filter((element) => isCut(element) || isOutside(element)).map((element) => element.outerHTML.slice(0, 120));
  });
  assert.deepEqual(cut, [], `${what}: cut off`);
}

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Insists that axe finds nothing serious. Run past the page's Content-Security-Policy, which stays in force. */
export async function expectAccessible({ page }, what) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const words = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(words, [], `${what}: serious findings`);
  const minor = violations.filter((violation) => !serious.includes(violation)).map(({ id }) => id);
  if (minor.length > 0) console.log(`${what}: minor findings: ${minor.join(', ')}`);
}
