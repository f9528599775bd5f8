// What an application uses: the client's methods, over one Core.
import { accountOf } from './account.js';
import { Core } from './core.js';
import { browserEnvironment } from './environment.js';
import { AuthError, isRefreshLost, reasonOf } from './errors.js';
import { grantOf } from './session.js';
export function createAuthClient(options) {
    const environment = browserEnvironment(options.environment);
    const base = new URL(options.baseUrl || '/', environment.href).href.replace(/\/+$/, '');
    const core = new Core(environment, {
        base,
        origins: new Set([base, environment.href ?? base, ...(options.tokenOrigins ?? [])].map((url) => new URL(url).origin)),
        warningSeconds: options.warningSeconds ?? 60,
        activityIntervalSeconds: options.activityIntervalSeconds ?? 15,
        pollSeconds: options.pollSeconds ?? 10,
        live: options.live ?? true,
    });
    let resuming = null;
    return {
        get user() {
            return core.store.user;
        },
        get session() {
            return core.store.grant?.session ?? null;
        },
        get status() {
            return core.live.status;
        },
        account: accountOf(core),
        login: (credentials) => signIn(core, '/login', credentials),
        continueLogin: (loginTicket, answer) => signIn(core, '/login/continue', { loginTicket, ...answer }),
        passkeyLogin: (options = {}) => core.plain('/passkeys/login/options', { method: 'POST', body: options }),
        beginEnrolment: (loginTicket, method) => core.plain(method === 'totp' ? '/factors/totp' : '/passkeys/options', { method: 'POST', body: { loginTicket } }),
        signup: (registration) => signUp(core, registration),
        confirmSignup: (confirmation) => signIn(core, '/signup/confirm', confirmation),
        logout: () => leave(core, '/logout', 'POST'),
        resume: () => (resuming ??= resume(core).finally(() => (resuming = null))),
        fetch: core.fetch,
        devices: () => core.listDevices(),
        terminate: (id) => terminate(core, id),
        terminateOthers: () => terminateOthers(core),
        reportActivity: () => core.activity.report(),
        keepAlive: () => core.reportActivity(),
        config: () => core.serviceConfig(),
        now: () => Date.now() + core.inbox.clockOffset,
        onSignedIn: core.signedIn.on,
        onSignedOut: core.signedOut.on,
        onExpiring: core.expiring.on,
        onExtended: core.extended.on,
        onDevices: core.devicesChanged.on,
        onStatus: core.statusChanged.on,
        close: () => core.close(),
    };
}
async function signIn(core, path, body) {
    return signedIn(core, await core.plain(path, { method: 'POST', body }));
}
async function signUp(core, body) {
    const answer = await core.plain('/signup', { method: 'POST', body });
    return 'accessToken' in answer ? signedIn(core, answer) : answer;
}
function signedIn(core, answer) {
    core.beginHere(grantOf(answer), answer.user);
    const { user, session, evictedSessionIds = [], recoveryCodes } = answer;
    return { user, session, evictedSessionIds, ...(recoveryCodes && { recoveryCodes }) };
}
/**
 * A session that is already over counts as success. If the service is unreachable the user is still
 * signed in, and the call rejects.
 */
async function leave(core, path, method) {
    const leaving = core.store.id;
    core.leaving = true;
    try {
        await core.call(path, { method });
    }
    catch (error) {
        core.leaving = false;
        if (!(error instanceof AuthError) || error.status !== 401)
            throw error;
    }
    if (core.store.id === leaving)
        core.finish('logged_out', { here: true });
}
async function resume(core) {
    if (core.store.user !== null)
        return core.store.user;
    try {
        const grant = await core.refresher.refresh(null);
        const user = await core.userOf(grant);
        if (core.store.user === null)
            core.begin(grant, user);
        return core.store.user;
    }
    catch (error) {
        if (!(error instanceof AuthError) || !(error.sessionOver || isRefreshLost(error.code)))
            throw error;
        tellWhy(core, error);
        return null;
    }
}
/** For a session that ended while no page was open the reason is still reported; a logout needs none. */
function tellWhy(core, error) {
    const reason = reasonOf(error.code);
    if (reason === 'sign_in_required' || reason === 'logged_out')
        return;
    core.signedOut.emit(reason, { here: false, by: null, message: error.message });
}
async function terminate(core, id) {
    const path = `/sessions/${encodeURIComponent(id)}`;
    if (id === core.store.id)
        return leave(core, path, 'DELETE');
    await core.call(path, { method: 'DELETE' });
    core.inbox.remove(id);
}
async function terminateOthers(core) {
    const { terminated } = await core.call('/sessions/all', { method: 'DELETE' });
    core.inbox.removeOthers();
    return terminated;
}
