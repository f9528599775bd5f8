// Reports that the user is active: only on real input, at most once per interval, and the last
// input of an interval is not lost. No timer runs while there is no input.
import type { Environment } from './environment.js';

const WINDOW_EVENTS = ['pointerdown', 'keydown', 'scroll', 'wheel', 'touchmove'] as const;
const LISTENING: AddEventListenerOptions = { capture: true, passive: true };

export interface ActivityParts {
  environment: Environment;
  intervalMs: () => number;
  /** Reports to the service; rejects if that fails. */
  send: () => Promise<void>;
  /** While true, input does not count: the user is being asked and should answer. */
  paused: () => boolean;
}

export class ActivityReporter {
  private lastReport = 0;
  private trailing: ReturnType<typeof setTimeout> | null = null;
  private listening = false;

  constructor(private readonly parts: ActivityParts) {}

  /** The first input is reported at once: a page may be opened shortly before the idle timeout. */
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

  /** Reports now, or at the end of the current interval. */
  report(): void {
    if (!this.listening || this.trailing !== null || this.parts.paused()) return;
    const wait = this.lastReport + this.parts.intervalMs() - Date.now();
    if (wait <= 0) this.send();
    else this.trailing = setTimeout(() => this.send(), wait);
  }

  /** The service was notified in another way: the interval starts over. */
  reported(): void {
    this.lastReport = Date.now();
    if (this.trailing !== null) clearTimeout(this.trailing);
    this.trailing = null;
  }

  private send(): void {
    this.reported();
    // A temporary failure costs one interval; a permanent one has already signed out.
    this.parts.send().catch(() => this.listening && this.report());
  }

  /** Events created by scripts do not count as user input. */
  private readonly onInput = (event: Event): void => {
    if (event.isTrusted) this.report();
  };

  private readonly onVisibility = (): void => {
    if (this.parts.environment.document?.visibilityState === 'visible') this.report();
  };
}
