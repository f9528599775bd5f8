// The time before an idle timeout: reports once that it is near, once that it moved, and checks
// again when it should have passed, so that after a lost message no countdown stays at zero.
/**
 * The service detects a timeout within 5 s of the deadline; checked just after the deadline and once
 * more after that.
 */
const CHECKS_AFTER_MS = [1_000, 6_000];
export class IdleWatch {
    parts;
    /** Seconds left when the warning came; null without a warning. */
    warnedAt = null;
    timers = [];
    constructor(parts) {
        this.parts = parts;
    }
    get warned() {
        return this.warnedAt !== null;
    }
    warn(seconds) {
        if (this.warned)
            return;
        this.warnedAt = seconds;
        this.timers = CHECKS_AFTER_MS.map((after) => setTimeout(this.parts.check, seconds * 1000 + after));
        this.parts.expiring(seconds);
    }
    /**
     * Updates how long is left. `timeoutSeconds` is the whole idle timeout; if it is shorter than the
     * warning, none is due.
     */
    observe(remainingSeconds, timeoutSeconds) {
        if (this.warnedAt !== null) {
            if (remainingSeconds > this.warnedAt)
                this.extend();
        }
        else if (timeoutSeconds !== null && timeoutSeconds > this.parts.warningSeconds) {
            if (remainingSeconds <= this.parts.warningSeconds)
                this.warn(Math.max(0, remainingSeconds));
        }
    }
    extend() {
        if (!this.warned)
            return;
        this.clear();
        this.parts.extended();
    }
    clear() {
        this.timers.forEach(clearTimeout);
        this.timers = [];
        this.warnedAt = null;
    }
}
