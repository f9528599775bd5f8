// The access token: attached, refreshed once, shared by tabs, never sent elsewhere; and what ends a session.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AuthError } from '../src/index.js';
import { FakeBrowser } from './support/browser.js';
import { FakeService } from './support/service.js';
import { CREDENTIALS, passing, signedIn, stage } from './support/setup.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('fetch', () => {
  it('attaches the token to its own origins and to no other', async () => {
    const { client, service } = await signedIn({ tokenOrigins: ['https://api.test'] });
    await passing(client.fetch('/orders'));
    await passing(client.fetch('https://api.test/things'));
    await passing(client.fetch('https://elsewhere.test/steal'));
    const token = (path: string) => service.asked.find((asked) => asked.path === path)?.token;
    expect([token('/orders'), token('/things'), token('/steal')]).toEqual(['token-1', 'token-1', null]);
  });

  it('refreshes once for all calls refused at once, and sends each again', async () => {
    const { client, service } = await signedIn();
    service.expire();
    const answers = await passing(Promise.all([1, 2, 3].map((n) => client.fetch(`/orders/${n}`))));
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(service.count('/refresh')).toBe(1);
  });

  it('sends again only once', async () => {
    const { client, service, signedOut } = await signedIn();
    service.refuse('/orders', 'token_expired');
    const answer = await passing(client.fetch('/orders'));
    expect(answer.status).toBe(401);
    expect(service.count('/orders')).toBeLessThanOrEqual(2);
    expect(signedOut).not.toHaveBeenCalled();
  });

  it('sends the body of a Request again', async () => {
    const { client, service } = await signedIn();
    service.expire();
    await passing(client.fetch(new Request('https://app.test/orders', { method: 'POST', body: '{"n":1}' })));
    expect(service.count('/orders')).toBe(2);
  });

  it.each([
    ['session_terminated', 'terminated'],
    ['session_idle_timeout', 'idle_timeout'],
    ['session_expired', 'expired'],
    ['session_evicted', 'evicted'],
    ['session_logged_out', 'logged_out'],
    ['refresh_token_reused', 'refresh_token_reused'],
  ])('takes %s for the end of the session', async (code, reason) => {
    const { client, service, signedOut } = await signedIn();
    service.refuse('/orders', code);
    await passing(client.fetch('/orders'));
    expect(signedOut).toHaveBeenCalledOnce();
    expect(signedOut.mock.calls[0]![0]).toBe(reason);
    expect(client.user).toBeNull();
    expect(service.count('/refresh')).toBe(0);
  });

  it('signs nobody out for a failure that will pass', async () => {
    const { client, service, signedOut } = await signedIn();
    service.expire();
    service.refuse('/refresh', 'unavailable', 503);
    await expect(passing(client.fetch('/orders'))).rejects.toMatchObject({ code: 'unavailable', temporary: true });
    service.instead.set('/refresh', 'down');
    await expect(passing(client.fetch('/orders'))).rejects.toMatchObject({ code: 'network', temporary: true });
    service.instead.delete('/refresh');
    expect((await passing(client.fetch('/orders'))).status).toBe(200);
    expect(signedOut).not.toHaveBeenCalled();
  });

  it('signs out when the refresh cookie is gone', async () => {
    const { client, service, signedOut } = await signedIn();
    service.expire();
    service.refuse('/refresh', 'refresh_token_missing');
    expect((await passing(client.fetch('/orders'))).status).toBe(401);
    expect(signedOut.mock.calls[0]![0]).toBe('sign_in_required');
  });
});

describe('two tabs', () => {
  it('refresh once between them', async () => {
    const service = new FakeService();
    const browser = new FakeBrowser();
    const one = await signedIn({}, service, browser);
    const two = stage({}, service, browser);
    await passing(two.client.resume());
    const before = service.count('/refresh');
    service.expire();
    const answers = await passing(Promise.all([one.client.fetch('/a'), two.client.fetch('/b')]));
    expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
    expect(service.count('/refresh')).toBe(before + 1);
  });

  it('hear each other sign in and out', async () => {
    const browser = new FakeBrowser();
    const service = new FakeService();
    const two = stage({}, service, browser);
    const one = await signedIn({}, service, browser);
    expect(two.client.user?.name).toBe('Maya');
    await passing(one.client.logout());
    expect(one.signedOut).toHaveBeenCalledExactlyOnceWith('logged_out', expect.objectContaining({ here: true }));
    expect(two.signedOut).toHaveBeenCalledExactlyOnceWith('logged_out', expect.objectContaining({ here: false }));
  });

  it('know who asked for the logout, in whichever tab hears of it first', async () => {
    const browser = new FakeBrowser();
    const service = new FakeService();
    const two = stage({}, service, browser);
    const one = await signedIn({}, service, browser);
    const leaving = one.client.logout();
    two.tab.socket.say({ type: 'session.deleted', sessionId: 's1', reason: 'logout', current: true });
    await passing(leaving);
    expect(one.signedOut).toHaveBeenCalledExactlyOnceWith('logged_out', expect.objectContaining({ here: true }));
  });
});

describe('resume', () => {
  it('goes on with the cookie', async () => {
    const { client } = stage();
    expect((await passing(client.resume()))?.email).toBe('maya@example.com');
    expect(client.session?.id).toBe('s1');
  });

  it('answers null without a cookie, and says nothing', async () => {
    const { client, service, signedOut } = stage();
    service.refuse('/refresh', 'refresh_token_missing');
    expect(await passing(client.resume())).toBeNull();
    expect(signedOut).not.toHaveBeenCalled();
  });

  it('tells why a session ended while no page was open', async () => {
    const { client, service, signedOut } = stage();
    service.refuse('/refresh', 'session_idle_timeout');
    expect(await passing(client.resume())).toBeNull();
    expect(signedOut.mock.calls[0]![0]).toBe('idle_timeout');
  });

  it('rejects when the service is out of reach', async () => {
    const { client, service, signedOut } = stage();
    service.refuse('/refresh', 'overloaded', 503, { 'retry-after': '7' });
    const refused = passing(client.resume());
    await expect(refused).rejects.toBeInstanceOf(AuthError);
    await expect(refused).rejects.toMatchObject({ temporary: true, retryAfterSeconds: 7 });
    expect(signedOut).not.toHaveBeenCalled();
  });
});

describe('login and logout', () => {
  it('tells each field that is wrong', async () => {
    const { client, service } = stage();
    const errors = [{ field: 'password', code: 'too_short', message: 'Too short.' }];
    service.instead.set('/signup', { status: 422, body: { code: 'validation_failed', errors } });
    const refused = passing(client.signup({ name: 'Maya', ...CREDENTIALS }));
    await expect(refused).rejects.toMatchObject({ code: 'validation_failed', fields: errors, temporary: false });
  });

  it('stays signed in when the logout did not get through', async () => {
    const { client, service, signedOut } = await signedIn();
    service.instead.set('/logout', 'down');
    await expect(passing(client.logout())).rejects.toMatchObject({ temporary: true });
    expect(client.user).not.toBeNull();
    expect(signedOut).not.toHaveBeenCalled();
  });

  it('keeps the token where scripts cannot find it', async () => {
    const { client } = await signedIn();
    expect(JSON.stringify(client)).not.toContain('token-1');
  });
});
