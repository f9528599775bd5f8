// Activity and the idle timeout: what counts as user input, how often it is reported, and the
// warning.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { device, FakeService } from './support/service.js';
import { passing, signedIn } from './support/setup.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('reporting', () => {
  it('tells the first input at once and then at most one each 15 seconds', async () => {
    const { tab, service } = await signedIn();
    for (let second = 0; second < 60; second += 1) {
      tab.window.fire('pointerdown');
      await passing(Promise.resolve(), 1000);
    }
    expect(service.count('/activity')).toBeGreaterThanOrEqual(4);
    expect(service.count('/activity')).toBeLessThanOrEqual(5);
  });

  it('takes a quarter of a short idle timeout', async () => {
    const service = new FakeService();
    service.idleMinutes = 0.2;
    const { tab } = await signedIn({}, service);
    tab.window.fire('keydown');
    await passing(Promise.resolve(), 2900);
    tab.window.fire('keydown');
    await passing(Promise.resolve(), 200);
    expect(service.count('/activity')).toBe(2);
  });

  it('says nothing while nobody does anything', async () => {
    const { service } = await signedIn();
    await passing(Promise.resolve(), 240_000);
    expect(service.count('/activity')).toBe(0);
  });

  it('is not fooled by events that scripts make', async () => {
    const { tab, service } = await signedIn();
    tab.window.fire('keydown', false);
    await passing(Promise.resolve(), 20_000);
    expect(service.count('/activity')).toBe(0);
  });

  it('counts coming back to the tab, and not leaving it', async () => {
    const { tab, service } = await signedIn();
    tab.document.visibilityState = 'hidden';
    tab.document.fire('visibilitychange');
    await passing(Promise.resolve(), 100);
    expect(service.count('/activity')).toBe(0);
    tab.document.visibilityState = 'visible';
    tab.document.fire('visibilitychange');
    await passing(Promise.resolve(), 100);
    expect(service.count('/activity')).toBe(1);
  });

  it('tells later what could not be told', async () => {
    const { tab, service } = await signedIn();
    service.instead.set('/activity', 'down');
    tab.window.fire('scroll');
    await passing(Promise.resolve(), 1000);
    service.instead.delete('/activity');
    await passing(Promise.resolve(), 15_000);
    expect(service.count('/activity')).toBe(2);
  });

  it('stops with the session', async () => {
    const { client, tab, service } = await signedIn();
    await passing(client.logout());
    tab.window.fire('keydown');
    await passing(Promise.resolve(), 20_000);
    expect(service.count('/activity')).toBe(0);
  });
});

describe('the warning', () => {
  it('comes and goes with the events, and input does not answer for the person meanwhile', async () => {
    const { client, tab, service } = await signedIn();
    const expiring = vi.fn();
    const extended = vi.fn();
    client.onExpiring(expiring);
    client.onExtended(extended);
    tab.socket.say({ type: 'session.expiring', sessionId: 's1', remainingSeconds: 60, current: true });
    tab.window.fire('pointerdown');
    await passing(Promise.resolve(), 1000);
    expect(expiring).toHaveBeenCalledExactlyOnceWith(60);
    expect(service.count('/activity')).toBe(0);
    await passing(client.keepAlive());
    tab.socket.say({ type: 'session.extended', sessionId: 's1', current: true });
    expect(extended).toHaveBeenCalledOnce();
  });

  it('reaches a page opened when the end is near already', async () => {
    const { client, tab, service } = await signedIn();
    const expiring = vi.fn();
    client.onExpiring(expiring);
    service.devices = [device('s1', { idleExpiresAt: new Date(Date.now() + 20_000).toISOString() })];
    tab.socket.say(service.snapshot());
    expect(expiring.mock.calls[0]![0]).toBeCloseTo(20, 0);
  });

  it('looks for itself when the end does not come', async () => {
    const { tab, service, signedOut } = await signedIn();
    tab.socket.say({ type: 'session.expiring', sessionId: 's1', remainingSeconds: 30, current: true });
    service.refuse('/session', 'session_idle_timeout');
    await passing(Promise.resolve(), 30_500);
    expect(signedOut).not.toHaveBeenCalled();
    await passing(Promise.resolve(), 1000);
    expect(signedOut.mock.calls[0]![0]).toBe('idle_timeout');
  });
});
