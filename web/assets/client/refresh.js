import { grantOf } from './session.js';
/** How long to wait for that message: the lock may be granted before it arrives. */
const MESSAGE_LAG_MS = 150;
export class Refresher {
    parts;
    running = null;
    constructor(parts) {
        this.parts = parts;
    }
    /**
     * A grant whose token differs from `stale`. It is not put into the store: that is up to the
     * caller, as the session may have ended or changed meanwhile.
     */
    refresh(stale) {
        const newer = this.newerThan(stale);
        if (newer !== null)
            return Promise.resolve(newer);
        this.running ??= this.locked(stale).finally(() => {
            this.running = null;
        });
        return this.running;
    }
    async locked(stale) {
        const { locks } = this.parts.environment;
        if (locks === undefined)
            return this.ask();
        const { lockName } = this.parts;
        const atOnce = await locks.request(lockName, { ifAvailable: true }, (lock) => (lock ? this.ask() : null));
        if (atOnce !== null)
            return atOnce;
        return locks.request(lockName, () => this.afterAnother(stale));
    }
    /** Another tab held the lock, so most likely it has refreshed already. */
    async afterAnother(stale) {
        const known = this.newerThan(stale) ?? (await this.parts.tabs.nextToken(MESSAGE_LAG_MS));
        return known ?? this.ask();
    }
    async ask() {
        const grant = grantOf(await this.parts.ask());
        this.parts.tabs.tell({ type: 'token', grant });
        return grant;
    }
    newerThan(stale) {
        const { grant } = this.parts.store;
        return grant !== null && grant.accessToken !== stale ? grant : null;
    }
}
