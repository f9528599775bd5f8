// What users do with their account besides signing in: password, address, second factor, passkeys,
// their data. Each method is one request; after a 401 `fresh_authentication_required` call
// `reauthenticate`, then try again.
import type { Core } from './core.js';
import { grantOf } from './session.js';
import type { Factors, MailRequest, Passkey, TokenAnswer, TotpSecret, User } from './types.js';

/** The user's proof of identity, in a step of a sign-in or when reauthenticating. */
export type Proof =
  | { password: string }
  | { code: string }
  | { recoveryCode: string }
  | { loginTicket: string; credential: unknown };

export interface Account {
  /** Reauthenticates; for some minutes this allows calls that require a fresh authentication. */
  reauthenticate(proof: Proof): Promise<void>;
  /** Also ends the other sessions, unless disabled. Returns how many. */
  changePassword(change: { currentPassword: string; newPassword: string; endOtherSessions?: boolean }): Promise<number>;
  /** Mails a code if an account has this address. The response is the same if none has. */
  requestPasswordReset(email: string, locale?: string): Promise<MailRequest>;
  confirmPasswordReset(confirmation: { requestId: string; code: string; newPassword: string }): Promise<void>;
  /** Mails a code to the account's address; does nothing if it is already verified. */
  requestEmailVerification(): Promise<MailRequest | undefined>;
  confirmEmailVerification(confirmation: { requestId: string; code: string }): Promise<User>;
  requestEmailChange(newEmail: string): Promise<MailRequest>;
  confirmEmailChange(confirmation: { requestId: string; code: string }): Promise<User>;
  update(change: { name?: string; locale?: string }): Promise<User>;
  /** Everything that is stored about the user. */
  export(): Promise<unknown>;
  /** Returns when the account will be deleted, if there is a grace period. */
  remove(): Promise<string | null>;
  factors(): Promise<Factors>;
  beginTotp(): Promise<TotpSecret>;
  /** Returns the recovery codes, which are only shown this once. */
  confirmTotp(code: string): Promise<string[]>;
  removeTotp(): Promise<void>;
  newRecoveryCodes(): Promise<string[]>;
  passkeyOptions(): Promise<{ requestId: string; publicKey: unknown }>;
  addPasskey(passkey: { requestId: string; credential: unknown; name?: string }): Promise<Passkey>;
  renamePasskey(id: string, name: string): Promise<void>;
  removePasskey(id: string): Promise<void>;
}

export function accountOf(core: Core): Account {
  const post = <T>(path: string, body?: unknown) => core.call<T>(path, { method: 'POST', ...(body !== undefined && { body }) });
  const known = ({ user }: { user: User }) => core.userChanged(user);
  const passkey = (id: string) => `/passkeys/${encodeURIComponent(id)}`;
  return {
    async reauthenticate(proof) {
      core.renewHere(grantOf(await post<TokenAnswer>('/reauthenticate', proof)));
    },
    async changePassword(change) {
      const answer = await post<TokenAnswer & { terminated: number }>('/password/change', change);
      core.renewHere(grantOf(answer));
      if (change.endOtherSessions !== false) core.inbox.removeOthers();
      return answer.terminated;
    },
    requestPasswordReset: (email, locale) =>
      core.plain('/password/reset', { method: 'POST', body: { email, ...(locale !== undefined && { locale }) } }),
    confirmPasswordReset: (body) => core.plain('/password/reset/confirm', { method: 'POST', body }),
    requestEmailVerification: () => post('/email/verification'),
    confirmEmailVerification: async (body) => known(await post('/email/verification/confirm', body)),
    requestEmailChange: (newEmail) => post('/email/change', { newEmail }),
    confirmEmailChange: async (body) => known(await post('/email/change/confirm', body)),
    update: async (body) => known(await core.call('/me', { method: 'PATCH', body })),
    export: () => core.call('/me/export'),
    async remove() {
      const leaving = core.store.id;
      core.leaving = true;
      try {
        const answer = await core.call<{ deleteAt: string } | undefined>('/me', { method: 'DELETE' });
        if (core.store.id === leaving) core.finish('user_deleted', { here: true });
        return answer?.deleteAt ?? null;
      } finally {
        core.leaving = false;
      }
    },
    factors: () => core.call('/factors'),
    beginTotp: () => post('/factors/totp'),
    confirmTotp: async (code) => (await post<{ recoveryCodes: string[] }>('/factors/totp/confirm', { code })).recoveryCodes,
    removeTotp: () => core.call('/factors/totp', { method: 'DELETE' }),
    newRecoveryCodes: async () => (await post<{ recoveryCodes: string[] }>('/factors/recovery-codes')).recoveryCodes,
    passkeyOptions: () => post('/passkeys/options'),
    addPasskey: async (body) => (await post<{ passkey: Passkey }>('/passkeys', body)).passkey,
    renamePasskey: (id, name) => core.call(passkey(id), { method: 'PATCH', body: { name } }),
    removePasskey: (id) => core.call(passkey(id), { method: 'DELETE' }),
  };
}
