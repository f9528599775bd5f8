// The live connection: keeps one open while signed in, over the best transport that works here. It decides when to try
// again and over what; what a message means is decided elsewhere.
import { backoffMs, soonMs } from './backoff.js';
import { AuthError } from './errors.js';
/** The service's close codes. */
const SESSION_ENDED = 4401;
const RESTARTING = 1012;
/** A proxy that swallows the stream would otherwise be waited for without end. */
const FIRST_MESSAGE_MS = 10_000;
/** A connection that lasted so long was a good one: its loss starts the back-off afresh. */
const GOOD_AFTER_MS = 10_000;
const STRIKES = 2;
export class Live {
    parts;
    status = 'off';
    /** Counts connections, so that a late word from an old one is not heard. */
    run = 0;
    current = 0;
    strikes = 0;
    attempt = 0;
    /** When the first message came; 0 before. */
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
            // A refusal for good has signed out and stopped this run.
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
    /** The service itself could not be asked, which is no fault of the transport's; any other failure is. */
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
    /** One try each is enough on the way back: they failed before. */
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
    /** Ends what is open or planned. */
    drop() {
        this.run += 1;
        this.openedAt = 0;
        clearTimeout(this.timer);
        this.close?.();
        this.close = null;
    }
    /** The network is back, or somebody looks again: no reason to wait on. A new network has also left old sockets dead. */
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
