// The browser, as a set of values, so that tests and unusual hosts can pass in their own. What a
// host lacks is undefined, and the client then works without it.

export interface Environment {
  fetch: typeof fetch;
  WebSocket: typeof WebSocket | undefined;
  EventSource: typeof EventSource | undefined;
  BroadcastChannel: typeof BroadcastChannel | undefined;
  /** Web Locks exist in secure contexts only. */
  locks: Pick<LockManager, 'request'> | undefined;
  /** The target on which real input is listened for. */
  window: EventTarget | undefined;
  document: (EventTarget & { readonly visibilityState: string }) | undefined;
  /** What relative addresses are relative to. */
  href: string | undefined;
  /** 0 to 1; spreads reconnects over time. */
  random: () => number;
}

export function browserEnvironment(overrides: Partial<Environment> = {}): Environment {
  const host: Partial<typeof globalThis> = globalThis;
  return {
    fetch: (input, init) => globalThis.fetch(input, init),
    WebSocket: host.WebSocket,
    EventSource: host.EventSource,
    BroadcastChannel: host.BroadcastChannel,
    locks: host.navigator?.locks,
    window: host.window,
    document: host.document,
    href: host.location?.href,
    random: Math.random,
    ...overrides,
  };
}
