// What an application uses: the client's methods, over one Core.
import { accountOf, type Account, type Proof } from './account.js';
import { Core } from './core.js';
import { browserEnvironment, type Environment } from './environment.js';
import { AuthError, isRefreshLost, reasonOf, type SignedOutReason } from './errors.js';
import type { ConnectionStatus } from './live.js';
import { grantOf, type SignedOutDetail } from './session.js';
import type { Device, MailRequest, ServiceConfig, SignInAnswer, User } from './types.js';

export interface AuthClientOptions {
  /** The service's base address, such as `/api/auth` or `https://auth.example.com`. */
  baseUrl: string;
  /** Origins besides the page's and the service's that `fetch` may send the token to. */
  tokenOrigins?: string[];
  /**
   * Seconds before an idle timeout at which `onExpiring` fires if the service did not send a warning.
   * Default 60.
   */
  warningSeconds?: number;
  /**
   * At most one activity report in this many seconds, or a quarter of the idle timeout if that is
   * less. Default 15.
   */
  activityIntervalSeconds?: number;
  /** Seconds between two polls where no live connection is possible. Default 10. */
  pollSeconds?: number;
  /** False for pages that need no live connection. Default true. */
  live?: boolean;
  /** Replacements for the browser's own APIs. */
  environment?: Partial<Environment>;
}

export interface Credentials {
  email: string;
  password: string;
  /** The user's name for this device; by default the service derives one from the browser. */
  deviceName?: string;
  /**
   * False: signed out when the browser closes. True: signed in for longer than usual, where the
   * service allows it.
   */
  remember?: boolean;
}

export interface Registration extends Credentials {
  name: string;
}

export interface SignIn {
  user: User;
  session: Device;
  /** Sessions that were evicted by the session limit. */
  evictedSessionIds: string[];
  /** Only shown this once, if a second factor was set up during the sign-in. */
  recoveryCodes?: string[];
}

/** The answer to a step of a sign-in. */
export type StepAnswer =
  | Exclude<Proof, { password: string } | { loginTicket: string }>
  | { credential: unknown }
  | { emailCode: string }
  | { newPassword: string }
  | { endSessionIds: string[] };

export interface AuthClient {
  /** Null when signed out. */
  readonly user: User | null;
  readonly session: Device | null;
  readonly status: ConnectionStatus;
  /** Rejects with an `AuthError` that has a `step` if the password is not enough. */
  login(credentials: Credentials): Promise<SignIn>;
  /**
   * Answers a step: a proof, a new password, or the sessions to end. May reject with another step in
   * the same way.
   */
  continueLogin(loginTicket: string, answer: StepAnswer): Promise<SignIn>;
  /** What the browser needs to sign in with a passkey; its answer goes to `continueLogin` as `credential`. */
  passkeyLogin(options?: { loginTicket?: string; remember?: boolean }): Promise<{ loginTicket: string; publicKey: unknown }>;
  /** Sets up a second factor during a sign-in, with the login ticket instead of a session. */
  beginEnrolment(loginTicket: string, method: 'totp' | 'passkey'): Promise<unknown>;
  /** Where addresses are verified first, the result is a request for the mailed code. */
  signup(registration: Registration): Promise<SignIn | MailRequest>;
  confirmSignup(confirmation: { requestId: string; code: string }): Promise<SignIn>;
  logout(): Promise<void>;
  /**
   * On page load: resumes the browser's session, if it has one. Rejects only when the service is
   * unreachable.
   */
  resume(): Promise<User | null>;
  /** Password, address, second factor, passkeys, the user's own data. */
  readonly account: Account;
  /** Like the browser's `fetch`, with the token attached. */
  fetch: typeof fetch;
  devices(): Promise<Device[]>;
  /** Ends one session; ending one's own is a logout. */
  terminate(id: string): Promise<void>;
  /** Returns how many ended. */
  terminateOthers(): Promise<number>;
  /** Reports that the user is active, throttled. Real input in the page does so automatically. */
  reportActivity(): void;
  /** Reports activity at once, and settles when the service has responded. */
  keepAlive(): Promise<void>;
  config(): Promise<ServiceConfig>;
  /** The service's time in milliseconds, as far as known: for "3 minutes ago" on a machine whose clock is wrong. */
  now(): number;
  onSignedIn(listener: (user: User) => void): () => void;
  onSignedOut(listener: (reason: SignedOutReason, detail: SignedOutDetail) => void): () => void;
  onExpiring(listener: (seconds: number) => void): () => void;
  onExtended(listener: () => void): () => void;
  onDevices(listener: (devices: Device[]) => void): () => void;
  onStatus(listener: (status: ConnectionStatus) => void): () => void;
  /** Releases everything in this tab; the session stays live. */
  close(): void;
}

export function createAuthClient(options: AuthClientOptions): AuthClient {
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
  let resuming: Promise<User | null> | null = null;

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
    beginEnrolment: (loginTicket, method) =>
      core.plain(method === 'totp' ? '/factors/totp' : '/passkeys/options', { method: 'POST', body: { loginTicket } }),
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

async function signIn(core: Core, path: string, body: object): Promise<SignIn> {
  return signedIn(core, await core.plain<SignInAnswer>(path, { method: 'POST', body }));
}

async function signUp(core: Core, body: Registration): Promise<SignIn | MailRequest> {
  const answer = await core.plain<SignInAnswer | MailRequest>('/signup', { method: 'POST', body });
  return 'accessToken' in answer ? signedIn(core, answer) : answer;
}

function signedIn(core: Core, answer: SignInAnswer): SignIn {
  core.beginHere(grantOf(answer), answer.user);
  const { user, session, evictedSessionIds = [], recoveryCodes } = answer;
  return { user, session, evictedSessionIds, ...(recoveryCodes && { recoveryCodes }) };
}

/**
 * A session that is already over counts as success. If the service is unreachable the user is still
 * signed in, and the call rejects.
 */
async function leave(core: Core, path: string, method: 'POST' | 'DELETE'): Promise<void> {
  const leaving = core.store.id;
  core.leaving = true;
  try {
    await core.call(path, { method });
  } catch (error) {
    core.leaving = false;
    if (!(error instanceof AuthError) || error.status !== 401) throw error;
  }
  if (core.store.id === leaving) core.finish('logged_out', { here: true });
}

async function resume(core: Core): Promise<User | null> {
  if (core.store.user !== null) return core.store.user;
  try {
    const grant = await core.refresher.refresh(null);
    const user = await core.userOf(grant);
    if (core.store.user === null) core.begin(grant, user);
    return core.store.user;
  } catch (error) {
    if (!(error instanceof AuthError) || !(error.sessionOver || isRefreshLost(error.code))) throw error;
    tellWhy(core, error);
    return null;
  }
}

/** For a session that ended while no page was open the reason is still reported; a logout needs none. */
function tellWhy(core: Core, error: AuthError): void {
  const reason = reasonOf(error.code);
  if (reason === 'sign_in_required' || reason === 'logged_out') return;
  core.signedOut.emit(reason, { here: false, by: null, message: error.message });
}

async function terminate(core: Core, id: string): Promise<void> {
  const path = `/sessions/${encodeURIComponent(id)}`;
  if (id === core.store.id) return leave(core, path, 'DELETE');
  await core.call(path, { method: 'DELETE' });
  core.inbox.remove(id);
}

async function terminateOthers(core: Core): Promise<number> {
  const { terminated } = await core.call<{ terminated: number }>('/sessions/all', { method: 'DELETE' });
  core.inbox.removeOthers();
  return terminated;
}
