/** While polling, how soon a better transport is tried again. */
const POLLING_FOR_MS = 60_000;
/** The service may name its events; both named and unnamed ones are handled. */
const SSE_EVENTS = [
    'message',
    'snapshot',
    'session.created',
    'session.deleted',
    'session.terminated',
    'session.expiring',
    'session.extended',
];
export function transports(parts) {
    const found = [];
    const { WebSocket, EventSource } = parts.environment;
    if (WebSocket)
        found.push({ kind: 'websocket', open: (hearing) => openWebSocket(parts, WebSocket, hearing) });
    if (EventSource)
        found.push({ kind: 'sse', open: (hearing) => openEventSource(parts, EventSource, hearing) });
    found.push({ kind: 'polling', open: (hearing) => openPolling(parts, hearing) });
    return found;
}
async function openWebSocket(parts, Socket, hearing) {
    const url = new URL(`${parts.base}/ws`.replace(/^http/, 'ws'));
    url.searchParams.set('ticket', await parts.ticket());
    const socket = new Socket(url);
    socket.onmessage = (event) => tell(hearing, event.data);
    socket.onclose = (event) => hearing.closed({ code: event.code, reason: event.reason });
    return () => {
        socket.onmessage = socket.onclose = null;
        socket.close();
    };
}
async function openEventSource(parts, Source, hearing) {
    const url = new URL(`${parts.base}/events`);
    url.searchParams.set('ticket', await parts.ticket());
    const source = new Source(url);
    for (const type of SSE_EVENTS)
        source.addEventListener(type, (event) => tell(hearing, event.data));
    source.onerror = () => {
        source.close();
        hearing.closed({});
    };
    return () => {
        source.onerror = null;
        source.close();
    };
}
/** Each response is delivered as a snapshot; a permanent failure has already signed out. */
async function openPolling(parts, hearing) {
    let timer;
    let open = true;
    const until = Date.now() + POLLING_FOR_MS;
    const ask = async () => {
        const snapshot = await parts.poll();
        if (!open)
            return;
        hearing.message(snapshot);
        if (Date.now() >= until)
            hearing.closed({});
        else
            timer = setTimeout(() => ask().catch(() => open && hearing.closed({})), parts.pollMs);
    };
    await ask();
    return () => {
        open = false;
        clearTimeout(timer);
    };
}
function tell(hearing, data) {
    if (typeof data !== 'string')
        return;
    let message;
    try {
        message = JSON.parse(data);
    }
    catch {
        return;
    }
    if (typeof message === 'object' && message !== null && 'type' in message)
        hearing.message(message);
}
