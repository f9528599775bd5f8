// The three ways to receive events about one's sessions, best first: WebSocket, Server-Sent Events,
// polling. Each delivers messages until it closes, and never reconnects by itself: tickets are
// single use, so a new connection needs a new one.
import type { Environment } from './environment.js';
import type { DeviceMessage } from './types.js';

export interface Closing {
  /** WebSocket close code; absent elsewhere. */
  code?: number;
  reason?: string;
}

export interface Hearing {
  message: (message: DeviceMessage) => void;
  closed: (closing: Closing) => void;
}

export interface Transport {
  readonly kind: 'websocket' | 'sse' | 'polling';
  /** Rejects with an AuthError when it cannot even be tried; the returned function closes it silently. */
  open: (hearing: Hearing) => Promise<() => void>;
}

export interface TransportParts {
  environment: Environment;
  /** The service's absolute base address. */
  base: string;
  ticket: () => Promise<string>;
  /** Polls for what a connection would have delivered: a snapshot with the seconds left. */
  poll: () => Promise<DeviceMessage>;
  pollMs: number;
}

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

export function transports(parts: TransportParts): Transport[] {
  const found: Transport[] = [];
  const { WebSocket, EventSource } = parts.environment;
  if (WebSocket) found.push({ kind: 'websocket', open: (hearing) => openWebSocket(parts, WebSocket, hearing) });
  if (EventSource) found.push({ kind: 'sse', open: (hearing) => openEventSource(parts, EventSource, hearing) });
  found.push({ kind: 'polling', open: (hearing) => openPolling(parts, hearing) });
  return found;
}

async function openWebSocket(parts: TransportParts, Socket: typeof WebSocket, hearing: Hearing) {
  const url = new URL(`${parts.base}/ws`.replace(/^http/, 'ws'));
  url.searchParams.set('ticket', await parts.ticket());
  const socket = new Socket(url);
  socket.onmessage = (event: MessageEvent) => tell(hearing, event.data);
  socket.onclose = (event: CloseEvent) => hearing.closed({ code: event.code, reason: event.reason });
  return () => {
    socket.onmessage = socket.onclose = null;
    socket.close();
  };
}

async function openEventSource(parts: TransportParts, Source: typeof EventSource, hearing: Hearing) {
  const url = new URL(`${parts.base}/events`);
  url.searchParams.set('ticket', await parts.ticket());
  const source = new Source(url);
  for (const type of SSE_EVENTS) source.addEventListener(type, (event) => tell(hearing, (event as MessageEvent).data));
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
async function openPolling(parts: TransportParts, hearing: Hearing) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let open = true;
  const until = Date.now() + POLLING_FOR_MS;
  const ask = async () => {
    const snapshot = await parts.poll();
    if (!open) return;
    hearing.message(snapshot);
    if (Date.now() >= until) hearing.closed({});
    else timer = setTimeout(() => ask().catch(() => open && hearing.closed({})), parts.pollMs);
  };
  await ask();
  return () => {
    open = false;
    clearTimeout(timer);
  };
}

function tell(hearing: Hearing, data: unknown): void {
  if (typeof data !== 'string') return;
  let message: unknown;
  try {
    message = JSON.parse(data);
  } catch {
    return;
  }
  if (typeof message === 'object' && message !== null && 'type' in message) hearing.message(message as DeviceMessage);
}
