// Reports that a person is there: only on real input, at most once per interval, and the last input of an interval is not
// lost. It never sleeps on a timer of its own while nobody does anything.
import type { Environment } from './environment.js';

const WINDOW_EVENTS = ['pointerdown', 'keydown', 'scroll', 'wheel', 'touchmove'] as const;
const LISTENING: AddEventListenerOptions = { capture: true, passive: true };

export interface ActivityParts {
  environment: Environment;
  intervalMs: () => number;
  /** Tells the service; rejects when it could not. */
  send: () => Promise<void>;
  /** While true, input does not count: the person is being asked and should answer. */
  paused: () => boolean;
}

export class ActivityReporter {
  private lastReport = 0;
  private trailing: ReturnType<typeof setTimeout> | null = null;
  private listening = false;

  constructor(private readonly parts: ActivityParts) {}

  /** The first input is reported at once: a page may be opened shortly before the idle end. */
  start(): void {
    this.lastReport = 0;
    if (this.listening) return;
    this.listening = true;
    const { window, document } = this.parts.environment;
    for (const type of WINDOW_EVENTS) window?.addEventListener(type, this.onInput, LISTENING);
    document?.addEventListener('visibilitychange', this.onVisibility);
  }

  stop(): void {
    this.listening = false;
    if (this.trailing !== null) clearTimeout(this.trailing);
    this.trailing = null;
    const { window, document } = this.parts.environment;
    for (const type of WINDOW_EVENTS) window?.removeEventListener(type, this.onInput, LISTENING);
    document?.removeEventListener('visibilitychange', this.onVisibility);
  }

  /** Reports now, or at the end of the interval that is running. */
  report(): void {
    if (!this.listening || this.trailing !== null || this.parts.paused()) return;
    const wait = this.lastReport + this.parts.intervalMs() - Date.now();
    if (wait <= 0) this.send();
    else this.trailing = setTimeout(() => this.send(), wait);
  }

  /** Another path has told the service: the interval starts over. */
  reported(): void {
    this.lastReport = Date.now();
    if (this.trailing !== null) clearTimeout(this.trailing);
    this.trailing = null;
  }

  private send(): void {
    this.reported();
    // A failure that will pass costs one interval; one that will not has signed out already.
    this.parts.send().catch(() => this.listening && this.report());
  }

  /** Events made by scripts are not a person. */
  private readonly onInput = (event: Event): void => {
    if (event.isTrusted) this.report();
  };

  private readonly onVisibility = (): void => {
    if (this.parts.environment.document?.visibilityState === 'visible') this.report();
  };
}
