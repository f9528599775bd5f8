export function grantOf(answer) {
    return { accessToken: answer.accessToken, session: answer.session };
}
export class SessionStore {
    grant = null;
    user = null;
    /** Counts sign-ins and sign-outs, so that a late response can be distinguished from a current one. */
    epoch = 0;
    get id() {
        return this.grant?.session.id ?? null;
    }
    get token() {
        return this.grant?.accessToken ?? null;
    }
    start(grant, user) {
        this.epoch += 1;
        this.grant = grant;
        this.user = user;
    }
    renew(grant) {
        this.grant = grant;
    }
    clear() {
        this.epoch += 1;
        this.grant = null;
        this.user = null;
    }
}
