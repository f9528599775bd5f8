// The live connection: keeps one open while signed in, over the best transport that works here. It
// decides when and over which transport to retry; what a message means is decided elsewhere.
import { backoffMs, soonMs } from './backoff.js';
import { AuthError } from './errors.js';
import type { Environment } from './environment.js';
import type { Closing, Transport } from './transports.js';
import type { DeviceMessage } from './types.js';

/**
 * `live`: events are pushed; `polling`: events are polled for; `waiting`: unreachable, retried
 * automatically; `off`: signed out.
 */
export type ConnectionStatus = 'off' | 'connecting' | 'live' | 'polling' | 'waiting';

/** The service's close codes. */
const SESSION_ENDED = 4401;
const RESTARTING = 1012;

/** Otherwise a proxy that swallows the stream would be waited for forever. */
const FIRST_MESSAGE_MS = 10_000;
/** A connection that lasted this long was working: its loss resets the back-off. */
const GOOD_AFTER_MS = 10_000;
const STRIKES = 2;

export interface LiveParts {
  environment: Environment;
  transports: Transport[];
  message: (message: DeviceMessage) => void;
  /** The service closed because the session ended; `reason` may be empty. */
  ended: (reason: string) => void;
  status: (status: ConnectionStatus) => void;
}

export class Live {
  status: ConnectionStatus = 'off';
  /** Counts connections, so that late messages from an old one are ignored. */
  private run = 0;
  private current = 0;
  private strikes = 0;
  private attempt = 0;
  /** When the first message arrived; 0 before. */
  private openedAt = 0;
  private close: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly parts: LiveParts) {}

  start(): void {
    this.stop();
    this.current = this.strikes = this.attempt = 0;
    this.parts.environment.window?.addEventListener('online', this.wake);
    this.parts.environment.document?.addEventListener('visibilitychange', this.wake);
    void this.connect();
  }

  stop(): void {
    this.drop();
    this.parts.environment.window?.removeEventListener('online', this.wake);
    this.parts.environment.document?.removeEventListener('visibilitychange', this.wake);
    this.tell('off');
  }

  private async connect(): Promise<void> {
    this.drop();
    const run = this.run;
    this.tell('connecting');
    this.timer = setTimeout(() => this.lost({}), FIRST_MESSAGE_MS);
    try {
      const close = await this.transport.open({
        message: (message) => run === this.run && this.heard(message),
        closed: (closing) => run === this.run && this.lost(closing),
      });
      if (run === this.run) this.close = close;
      else close();
    } catch (error) {
      // A permanent failure has signed out and stopped this run.
      if (run === this.run) this.failed(error);
    }
  }

  private heard(message: DeviceMessage): void {
    if (this.openedAt === 0) {
      clearTimeout(this.timer);
      this.openedAt = Date.now();
      this.strikes = 0;
      this.tell(this.transport.kind === 'polling' ? 'polling' : 'live');
    }
    this.parts.message(message);
  }

  /** The service itself was unreachable, which is not the transport's fault; any other failure is. */
  private failed(error: unknown): void {
    if (!(error instanceof AuthError)) return this.lost({});
    this.again(Math.max((error.retryAfterSeconds ?? 0) * 1000, this.nextDelay()));
  }

  private lost(closing: Closing): void {
    const { kind } = this.transport;
    const opened = this.openedAt;
    this.drop();
    if (closing.code === SESSION_ENDED) return this.parts.ended(closing.reason ?? '');
    if (kind === 'polling') this.backToBest();
    else if (opened === 0) this.strike();
    if (opened !== 0 && Date.now() - opened >= GOOD_AFTER_MS) this.attempt = 0;
    const delay = this.nextDelay();
    this.again(closing.code === RESTARTING ? Math.min(delay, soonMs(this.parts.environment.random)) : delay);
  }

  private strike(): void {
    this.strikes += 1;
    if (this.strikes < STRIKES) return;
    this.current = Math.min(this.current + 1, this.parts.transports.length - 1);
    this.strikes = 0;
  }

  /** One attempt each is enough when trying the better transports again: they failed before. */
  private backToBest(): void {
    this.current = 0;
    this.strikes = STRIKES - 1;
    this.attempt = 0;
  }

  private nextDelay(): number {
    const delay = backoffMs(this.attempt, this.parts.environment.random);
    this.attempt += 1;
    return delay;
  }

  private again(delay: number): void {
    this.drop();
    this.tell('waiting');
    this.timer = setTimeout(() => void this.connect(), delay);
  }

  /** Closes what is open or planned. */
  private drop(): void {
    this.run += 1;
    this.openedAt = 0;
    clearTimeout(this.timer);
    this.close?.();
    this.close = null;
  }

  /**
   * The network is back, or the page is visible again: no reason to keep waiting. After a change of
   * network old sockets are dead.
   */
  private readonly wake = (event: Event): void => {
    const back = event.type === 'online';
    const looked = this.parts.environment.document?.visibilityState === 'visible' && this.status === 'waiting';
    if (back || looked) void this.connect();
  };

  private get transport(): Transport {
    return this.parts.transports[this.current]!;
  }

  private tell(status: ConnectionStatus): void {
    if (status === this.status) return;
    this.status = status;
    this.parts.status(status);
  }
}
