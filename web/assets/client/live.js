// The live connection: keeps one open while signed in, over the best transport that works here. It
// decides when and over which transport to retry; what a message means is decided elsewhere.
import { backoffMs, soonMs } from './backoff.js';
import { AuthError } from './errors.js';
/** The service's close codes. */
const SESSION_ENDED = 4401;
const RESTARTING = 1012;
/** Otherwise a proxy that swallows the stream would be waited for forever. */
const FIRST_MESSAGE_MS = 10_000;
/** A connection that lasted this long was working: its loss resets the back-off. */
const GOOD_AFTER_MS = 10_000;
const STRIKES = 2;
export class Live {
    parts;
    status = 'off';
    /** Counts connections, so that late messages from an old one are ignored. */
    run = 0;
    current = 0;
    strikes = 0;
    attempt = 0;
    /** When the first message arrived; 0 before. */
    openedAt = 0;
    close = null;
    timer;
    constructor(parts) {
        this.parts = parts;
    }
    start() {
        this.stop();
        this.current = this.strikes = this.attempt = 0;
        this.parts.environment.window?.addEventListener('online', this.wake);
        this.parts.environment.document?.addEventListener('visibilitychange', this.wake);
        void this.connect();
    }
    stop() {
        this.drop();
        this.parts.environment.window?.removeEventListener('online', this.wake);
        this.parts.environment.document?.removeEventListener('visibilitychange', this.wake);
        this.tell('off');
    }
    async connect() {
        this.drop();
        const run = this.run;
        this.tell('connecting');
        this.timer = setTimeout(() => this.lost({}), FIRST_MESSAGE_MS);
        try {
            const close = await this.transport.open({
                message: (message) => run === this.run && this.heard(message),
                closed: (closing) => run === this.run && this.lost(closing),
            });
            if (run === this.run)
                this.close = close;
            else
                close();
        }
        catch (error) {
            // A permanent failure has signed out and stopped this run.
            if (run === this.run)
                this.failed(error);
        }
    }
    heard(message) {
        if (this.openedAt === 0) {
            clearTimeout(this.timer);
            this.openedAt = Date.now();
            this.strikes = 0;
            this.tell(this.transport.kind === 'polling' ? 'polling' : 'live');
        }
        this.parts.message(message);
    }
    /** The service itself was unreachable, which is not the transport's fault; any other failure is. */
    failed(error) {
        if (!(error instanceof AuthError))
            return this.lost({});
        this.again(Math.max((error.retryAfterSeconds ?? 0) * 1000, this.nextDelay()));
    }
    lost(closing) {
        const { kind } = this.transport;
        const opened = this.openedAt;
        this.drop();
        if (closing.code === SESSION_ENDED)
            return this.parts.ended(closing.reason ?? '');
        if (kind === 'polling')
            this.backToBest();
        else if (opened === 0)
            this.strike();
        if (opened !== 0 && Date.now() - opened >= GOOD_AFTER_MS)
            this.attempt = 0;
        const delay = this.nextDelay();
        this.again(closing.code === RESTARTING ? Math.min(delay, soonMs(this.parts.environment.random)) : delay);
    }
    strike() {
        this.strikes += 1;
        if (this.strikes < STRIKES)
            return;
        this.current = Math.min(this.current + 1, this.parts.transports.length - 1);
        this.strikes = 0;
    }
    /** One attempt each is enough when trying the better transports again: they failed before. */
    backToBest() {
        this.current = 0;
        this.strikes = STRIKES - 1;
        this.attempt = 0;
    }
    nextDelay() {
        const delay = backoffMs(this.attempt, this.parts.environment.random);
        this.attempt += 1;
        return delay;
    }
    again(delay) {
        this.drop();
        this.tell('waiting');
        this.timer = setTimeout(() => void this.connect(), delay);
    }
    /** Closes what is open or planned. */
    drop() {
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
    wake = (event) => {
        const back = event.type === 'online';
        const looked = this.parts.environment.document?.visibilityState === 'visible' && this.status === 'waiting';
        if (back || looked)
            void this.connect();
    };
    get transport() {
        return this.parts.transports[this.current];
    }
    tell(status) {
        if (status === this.status)
            return;
        this.status = status;
        this.parts.status(status);
    }
}
