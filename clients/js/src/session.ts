// The session this tab knows: the access token, in memory and nowhere else, with its session and user. Never written to
// storage; it dies with the tab.
import type { SignedOutReason } from './errors.js';
import type { Device, TokenAnswer, User } from './types.js';

export interface Grant {
  accessToken: string;
  session: Device;
}

export interface SignedOutDetail {
  /** Requested in this tab. */
  here: boolean;
  /** The device that ended this session, if it was a device and is known. */
  by: Device | null;
  /** The service's message for the user; may be empty. */
  message: string;
}

export function grantOf(answer: TokenAnswer): Grant {
  return { accessToken: answer.accessToken, session: answer.session };
}

export class SessionStore {
  grant: Grant | null = null;
  user: User | null = null;
  /** Counts sign-ins and sign-outs, so that a late response can be distinguished from a current one. */
  epoch = 0;

  get id(): string | null {
    return this.grant?.session.id ?? null;
  }

  get token(): string | null {
    return this.grant?.accessToken ?? null;
  }

  start(grant: Grant, user: User | null): void {
    this.epoch += 1;
    this.grant = grant;
    this.user = user;
  }

  renew(grant: Grant): void {
    this.grant = grant;
  }

  clear(): void {
    this.epoch += 1;
    this.grant = null;
    this.user = null;
  }
}

/** What one tab sends to the others of the same browser. */
export type TabMessage =
  | { type: 'token'; grant: Grant }
  | { type: 'signed-in'; grant: Grant; user: User }
  | { type: 'signed-out'; sessionId: string; reason: SignedOutReason; detail: SignedOutDetail };
