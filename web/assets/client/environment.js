// The browser, as a set of values, so that tests and unusual hosts can pass in their own. What a
// host lacks is undefined, and the client then works without it.
export function browserEnvironment(overrides = {}) {
    const host = globalThis;
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
