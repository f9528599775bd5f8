// A client in a tab against a service, on a clock that the test moves.
import { vi } from 'vitest';
import { createAuthClient, type AuthClient, type AuthClientOptions } from '../../src/index.js';
import { FakeBrowser, FakeTab } from './browser.js';
import { FakeService } from './service.js';

export interface Stage {
  client: AuthClient;
  tab: FakeTab;
  service: FakeService;
  signedOut: ReturnType<typeof vi.fn>;
}

export function stage(options: Partial<AuthClientOptions> = {}, service = new FakeService(), browser = new FakeBrowser()): Stage {
  const tab = new FakeTab(browser);
  const environment = { ...tab.environment(service.fetch), ...options.environment };
  const client = createAuthClient({ baseUrl: '/api/auth', ...options, environment });
  const signedOut = vi.fn();
  client.onSignedOut(signedOut);
  return { client, tab, service, signedOut };
}

export const CREDENTIALS = { email: 'maya@example.com', password: 'long enough' };

/** Lets pending work settle while the clock moves. */
export async function passing<T>(work: Promise<T>, ms = 1000): Promise<T> {
  const settled = work.then(
    (value) => () => value,
    (error: unknown) => () => {
      throw error;
    },
  );
  await vi.advanceTimersByTimeAsync(ms);
  return (await settled)();
}

/** Signed in, with the live connection open. */
export async function signedIn(options: Partial<AuthClientOptions> = {}, service?: FakeService, browser?: FakeBrowser): Promise<Stage> {
  const all = stage(options, service, browser);
  await passing(all.client.login(CREDENTIALS), 50);
  all.tab.socket?.say(all.service.snapshot());
  return all;
}
