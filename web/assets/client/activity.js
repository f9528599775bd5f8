const WINDOW_EVENTS = ['pointerdown', 'keydown', 'scroll', 'wheel', 'touchmove'];
const LISTENING = { capture: true, passive: true };
export class ActivityReporter {
    parts;
    lastReport = 0;
    trailing = null;
    listening = false;
    constructor(parts) {
        this.parts = parts;
    }
    /** The first input is reported at once: a page may be opened shortly before the idle timeout. */
    start() {
        this.lastReport = 0;
        if (this.listening)
            return;
        this.listening = true;
        const { window, document } = this.parts.environment;
        for (const type of WINDOW_EVENTS)
            window?.addEventListener(type, this.onInput, LISTENING);
        document?.addEventListener('visibilitychange', this.onVisibility);
    }
    stop() {
        this.listening = false;
        if (this.trailing !== null)
            clearTimeout(this.trailing);
        this.trailing = null;
        const { window, document } = this.parts.environment;
        for (const type of WINDOW_EVENTS)
            window?.removeEventListener(type, this.onInput, LISTENING);
        document?.removeEventListener('visibilitychange', this.onVisibility);
    }
    /** Reports now, or at the end of the current interval. */
    report() {
        if (!this.listening || this.trailing !== null || this.parts.paused())
            return;
        const wait = this.lastReport + this.parts.intervalMs() - Date.now();
        if (wait <= 0)
            this.send();
        else
            this.trailing = setTimeout(() => this.send(), wait);
    }
    /** The service was notified in another way: the interval starts over. */
    reported() {
        this.lastReport = Date.now();
        if (this.trailing !== null)
            clearTimeout(this.trailing);
        this.trailing = null;
    }
    send() {
        this.reported();
        // A temporary failure costs one interval; a permanent one has already signed out.
        this.parts.send().catch(() => this.listening && this.report());
    }
    /** Events created by scripts do not count as user input. */
    onInput = (event) => {
        if (event.isTrusted)
            this.report();
    };
    onVisibility = () => {
        if (this.parts.environment.document?.visibilityState === 'visible')
            this.report();
    };
}
