// The live connection: what it delivers, how it reconnects, and what it falls back to.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoffMs } from '../src/backoff.js';
import { device, FakeService } from './support/service.js';
import { passing, signedIn } from './support/setup.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('devices', () => {
  it('follow the snapshot and the events after it', async () => {
    const { client, tab, service } = await signedIn();
    const heard = vi.fn();
    client.onDevices(heard);
    service.devices = [device('s2'), device('s1')];
    tab.socket.say(service.snapshot());
    tab.socket.say({ type: 'session.created', sessionId: 's3', session: device('s3'), current: false });
    tab.socket.say({ type: 'session.terminated', sessionId: 's2', current: false });
    const ids = heard.mock.calls.map(([devices]) => devices.map((one: { id: string }) => one.id));
    expect(ids.map((list) => list[0])).toEqual(['s1', 's1', 's1']);
    expect(new Set(ids.at(-1))).toEqual(new Set(['s1', 's3']));
    expect(heard.mock.lastCall![0][0].current).toBe(true);
  });

  it('lose what is terminated here, without waiting for the event', async () => {
    const { client, tab, service } = await signedIn();
    service.devices = [device('s1'), device('s2'), device('s3')];
    tab.socket.say(service.snapshot());
    const heard = vi.fn();
    client.onDevices(heard);
    await passing(client.terminate('s2'));
    expect(heard.mock.lastCall![0]).toHaveLength(2);
    expect(await passing(client.terminateOthers())).toBe(2);
    expect(heard.mock.lastCall![0].map((one: { id: string }) => one.id)).toEqual(['s1']);
  });
});

describe('the end of this session', () => {
  it('is reported once, with the device that asked for it', async () => {
    const { tab, service, signedOut } = await signedIn();
    service.devices = [device('s1'), device('s2')];
    tab.socket.say(service.snapshot());
    const ending = { type: 'session.terminated', sessionId: 's1', reason: 'terminated', terminatedBySessionId: 's2', current: true };
    const { socket } = tab;
    socket.say(ending);
    socket.end(4401, 'terminated');
    await passing(Promise.resolve(), 120_000);
    expect(signedOut).toHaveBeenCalledOnce();
    expect(signedOut.mock.calls[0]).toMatchObject(['terminated', { by: { id: 's2' }, here: false }]);
    expect(tab.sockets).toHaveLength(1);
  });

  it('is known from the close code alone', async () => {
    const { tab, signedOut } = await signedIn();
    tab.socket.end(4401, 'evicted');
    expect(signedOut.mock.calls[0]![0]).toBe('evicted');
  });

  it('is looked up when the close says no reason', async () => {
    const { tab, service, signedOut } = await signedIn();
    service.refuse('/session', 'session_expired');
    tab.socket.end(4401);
    await passing(Promise.resolve());
    expect(signedOut.mock.calls[0]![0]).toBe('expired');
  });
});

describe('reconnecting', () => {
  it('comes back soon after a restart, with a new ticket', async () => {
    const { tab, service, client } = await signedIn();
    tab.socket.end(1012);
    expect(client.status).toBe('waiting');
    await passing(Promise.resolve(), 1000);
    expect(tab.sockets).toHaveLength(2);
    expect(tab.sockets[0]!.url).toBe('wss://app.test/api/auth/ws?ticket=ticket-1');
    expect(tab.sockets[1]!.url).toContain('ticket=ticket-2');
    tab.socket.say(service.snapshot());
    expect(client.status).toBe('live');
  });

  it('doubles the wait up to a bound, and spreads it', () => {
    const waits = [0, 1, 2, 3, 20].map((attempt) => backoffMs(attempt, () => 1));
    expect(waits).toEqual([500, 1000, 2000, 4000, 30_000]);
    expect(backoffMs(3, () => 0)).toBe(2000);
  });

  it('keeps its transport while the service is out of reach, and signs nobody out', async () => {
    const { tab, service, client, signedOut } = await signedIn();
    service.instead.set('/events/ticket', 'down');
    tab.socket.end();
    await passing(Promise.resolve(), 300_000);
    expect(client.status).toBe('waiting');
    expect(signedOut).not.toHaveBeenCalled();
    service.instead.delete('/events/ticket');
    tab.window.fire('online');
    await passing(Promise.resolve(), 100);
    expect(tab.sockets).toHaveLength(2);
    expect(tab.sources).toHaveLength(0);
  });

  it('does not try again before the service wants it', async () => {
    const { tab, service } = await signedIn();
    service.refuse('/events/ticket', 'rate_limited', 429, { 'retry-after': '20' });
    const before = service.count('/events/ticket');
    tab.socket.end();
    await passing(Promise.resolve(), 15_000);
    expect(service.count('/events/ticket')).toBe(before + 1);
  });
});

describe('falling back', () => {
  it('goes from WebSocket to SSE to polling, and tries the best again later', async () => {
    const { tab, service, client } = await signedIn();
    const closing = setInterval(() => {
      tab.sockets.filter((socket) => !socket.closedByPage).forEach((socket) => socket.end());
      tab.sources.filter((source) => !source.closedByPage).forEach((source) => source.onerror?.());
    }, 50);
    await passing(Promise.resolve(), 12_000);
    clearInterval(closing);
    expect(tab.sources.length).toBe(2);
    expect(client.status).toBe('polling');
    expect(service.count('/session')).toBeGreaterThanOrEqual(1);
    const sockets = tab.sockets.length;
    await passing(Promise.resolve(), 80_000);
    expect(tab.sockets.length).toBe(sockets + 1);
  });

  it('takes SSE where there is no WebSocket, and a silent stream for no stream', async () => {
    const { tab, service, client } = await signedIn({ environment: { WebSocket: undefined } });
    expect(tab.source.url).toBe('https://app.test/api/auth/events?ticket=ticket-1');
    await passing(Promise.resolve(), 30_000);
    expect(client.status).toBe('polling');
    expect(tab.sources.every((source) => source.closedByPage)).toBe(true);
    await passing(Promise.resolve(), 60_000);
    tab.source.say(service.snapshot());
    expect(client.status).toBe('live');
  });

  it('hears the end by polling too', async () => {
    const none = { WebSocket: undefined, EventSource: undefined };
    const service = new FakeService();
    const { client, signedOut } = await signedIn({ environment: none, pollSeconds: 2 }, service);
    expect(client.status).toBe('polling');
    service.refuse('/session', 'session_terminated');
    await passing(Promise.resolve(), 3000);
    expect(signedOut.mock.calls[0]![0]).toBe('terminated');
    const asked = service.asked.length;
    await passing(Promise.resolve(), 60_000);
    expect(service.asked.length).toBe(asked);
  });
});
