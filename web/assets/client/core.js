// Connects the parts: one session from sign-in to sign-out. Only this file starts and ends a
// session in this tab; every other file reports to it.
import { ActivityReporter } from './activity.js';
import { authorizedFetch } from './authorized.js';
import { Emitter } from './emitter.js';
import { AuthError, isRefreshLost, reasonOf } from './errors.js';
import { requestJson } from './http.js';
import { IdleWatch } from './idle.js';
import { Inbox } from './inbox.js';
import { Live } from './live.js';
import { Refresher } from './refresh.js';
import { SessionStore } from './session.js';
import { Tabs } from './tabs.js';
import { transports } from './transports.js';
/**
 * How often the list is fetched in addition to the live connection, which does not report other
 * devices' activity.
 */
const DEVICES_AGAIN_MS = 30_000;
export class Core {
    environment;
    settings;
    store = new SessionStore();
    signedIn = new Emitter();
    signedOut = new Emitter();
    expiring = new Emitter();
    extended = new Emitter();
    devicesChanged = new Emitter();
    statusChanged = new Emitter();
    fetch;
    live;
    activity;
    refresher;
    inbox;
    /** A sign-out requested in this tab is in progress. */
    leaving = false;
    tabs;
    idle;
    config = null;
    devicesTimer;
    constructor(environment, settings) {
        this.environment = environment;
        this.settings = settings;
        const name = `auth-service-client ${settings.base}`;
        this.tabs = new Tabs(environment, name);
        this.tabs.onMessage((message) => this.onTab(message));
        this.refresher = new Refresher({
            environment,
            store: this.store,
            tabs: this.tabs,
            lockName: name,
            ask: () => this.plain('/refresh', { method: 'POST' }),
        });
        this.fetch = authorizedFetch({
            fetch: environment.fetch,
            href: environment.href,
            origins: settings.origins,
            token: () => this.store.token,
            renewed: (refused) => this.renew(refused),
            over: (code, message, token) => token === this.store.token && this.finish(reasonOf(code), { message }),
        });
        this.live = new Live({
            environment,
            transports: transports({
                environment,
                base: settings.base,
                ticket: async () => (await this.call('/events/ticket', { method: 'POST' })).ticket,
                poll: () => this.poll(),
                pollMs: settings.pollSeconds * 1000,
            }),
            message: (message) => this.inbox.heard(message),
            ended: (reason) => this.onClosed(reason),
            status: (status) => this.statusChanged.emit(status),
        });
        this.idle = new IdleWatch({
            warningSeconds: settings.warningSeconds,
            expiring: (seconds) => this.expiring.emit(seconds),
            extended: () => this.extended.emit(),
            check: () => void this.call('/session').catch(() => undefined),
        });
        this.inbox = new Inbox({
            ownId: () => this.store.id,
            idle: this.idle,
            warningSeconds: settings.warningSeconds,
            changed: (devices) => this.devicesChanged.emit(devices),
            ended: (reason, detail) => this.finish(reason, detail),
        });
        this.activity = new ActivityReporter({
            environment,
            intervalMs: () => this.activityIntervalMs(),
            send: () => this.reportActivity(),
            paused: () => this.idle.warned && this.expiring.heard,
        });
    }
    /** Sends a request without the token. */
    plain(path, call) {
        return requestJson(this.environment.fetch, this.settings.base + path, call);
    }
    /** Sends a request with the token. */
    call(path, call) {
        return requestJson(this.fetch, this.settings.base + path, call);
    }
    begin(grant, user) {
        this.store.start(grant, user);
        this.leaving = false;
        this.inbox.clear();
        this.inbox.replace([grant.session]);
        void this.serviceConfig().catch(() => undefined);
        this.activity.start();
        clearInterval(this.devicesTimer);
        this.devicesTimer = setInterval(() => this.lookAgain(), DEVICES_AGAIN_MS);
        if (this.settings.live)
            this.live.start();
        this.signedIn.emit(user);
    }
    /**
     * Like `begin`, for a sign-in in this tab: the other tabs follow, because the browser has one
     * refresh cookie.
     */
    beginHere(grant, user) {
        this.begin(grant, user);
        this.tabs.tell({ type: 'signed-in', grant, user });
    }
    /** New tokens of the same session that were not obtained by a refresh: the other tabs adopt them too. */
    renewHere(grant) {
        this.store.renew(grant);
        this.tabs.tell({ type: 'token', grant });
    }
    /** The user's data has changed. */
    userChanged(user) {
        if (this.store.user !== null)
            this.store.user = user;
        return user;
    }
    /** Ends the session in this tab, once, and notifies the other tabs. */
    finish(reason, detail = {}) {
        const sessionId = this.store.id;
        if (sessionId === null)
            return;
        const full = { here: this.leaving, by: null, message: '', ...detail };
        this.halt();
        this.tabs.tell({ type: 'signed-out', sessionId, reason, detail: { ...full, here: false } });
        this.signedOut.emit(reason, full);
    }
    /** Leaves the session as it is, and releases everything of it in this tab. */
    halt() {
        this.store.clear();
        this.leaving = false;
        this.live.stop();
        this.activity.stop();
        this.inbox.clear();
        clearInterval(this.devicesTimer);
    }
    close() {
        this.halt();
        this.tabs.close();
    }
    async serviceConfig() {
        this.config ??= await this.plain('/config');
        this.inbox.configured(this.config);
        return this.config;
    }
    async listDevices() {
        return this.inbox.replace((await this.call('/sessions')).sessions);
    }
    /**
     * Over HTTP although a socket may be open: only a response proves that the service received it,
     * and a socket can be dead for a while without either side knowing.
     */
    async reportActivity() {
        this.activity.reported();
        const answer = await this.call('/activity', { method: 'POST' });
        this.inbox.active(answer.lastActivity, answer.idleExpiresAt);
    }
    /** A token other than the rejected one. A permanent failure signs out; a temporary one does not. */
    async renew(refused) {
        const { epoch } = this.store;
        try {
            const grant = await this.refresher.refresh(refused);
            if (epoch === this.store.epoch)
                await this.adopt(grant);
        }
        catch (error) {
            if (epoch === this.store.epoch)
                this.onRefreshRefused(error);
            throw error;
        }
        const { token } = this.store;
        if (token === null)
            throw new AuthError({ status: 401, code: 'token_missing', message: 'Signed out meanwhile.' });
        return token;
    }
    onRefreshRefused(error) {
        if (!(error instanceof AuthError))
            return;
        if (error.sessionOver || isRefreshLost(error.code))
            this.finish(reasonOf(error.code), { message: error.message });
    }
    /**
     * The cookie may by now belong to another session, from a sign-in in a tab that this one did not
     * hear of.
     */
    async adopt(grant) {
        if (grant.session.id === this.store.id)
            this.store.renew(grant);
        else
            this.begin(grant, await this.userOf(grant));
    }
    async userOf(grant) {
        const send = (url, init) => this.environment.fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${grant.accessToken}` } });
        return (await requestJson(send, `${this.settings.base}/me`)).user;
    }
    onTab(message) {
        if (message.type === 'signed-in') {
            this.begin(message.grant, message.user);
        }
        else if (message.type === 'token') {
            if (message.grant.session.id === this.store.id)
                this.store.renew(message.grant);
        }
        else if (message.sessionId === this.store.id) {
            // Another tab that was notified of a logout requested here may report it first.
            const detail = { ...message.detail, here: this.leaving };
            this.halt();
            this.signedOut.emit(message.reason, detail);
        }
    }
    /** A close without a reason: the error of the next request gives it. */
    onClosed(reason) {
        if (reasonOf(reason) !== 'sign_in_required')
            return this.finish(reasonOf(reason));
        this.call('/session').then(() => this.store.grant !== null && this.live.start(), (error) => error instanceof AuthError && error.temporary && this.live.start());
    }
    async poll() {
        const [{ remainingSeconds }, { sessions }] = await Promise.all([
            this.call('/session'),
            this.call('/sessions'),
        ]);
        return { type: 'snapshot', sessions, remainingSeconds };
    }
    lookAgain() {
        const seen = this.environment.document?.visibilityState !== 'hidden';
        if (seen && this.devicesChanged.heard && this.live.status !== 'polling')
            this.listDevices().catch(() => undefined);
    }
    activityIntervalMs() {
        const most = this.settings.activityIntervalSeconds * 1000;
        return this.config === null ? most : Math.min(most, this.config.sessionTimeoutMinutes * 15_000);
    }
}
