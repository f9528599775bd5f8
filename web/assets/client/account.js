import { grantOf } from './session.js';
export function accountOf(core) {
    const post = (path, body) => core.call(path, { method: 'POST', ...(body !== undefined && { body }) });
    const known = ({ user }) => core.userChanged(user);
    const passkey = (id) => `/passkeys/${encodeURIComponent(id)}`;
    return {
        async reauthenticate(proof) {
            core.renewHere(grantOf(await post('/reauthenticate', proof)));
        },
        async changePassword(change) {
            const answer = await post('/password/change', change);
            core.renewHere(grantOf(answer));
            if (change.endOtherSessions !== false)
                core.inbox.removeOthers();
            return answer.terminated;
        },
        requestPasswordReset: (email, locale) => core.plain('/password/reset', { method: 'POST', body: { email, ...(locale !== undefined && { locale }) } }),
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
                const answer = await core.call('/me', { method: 'DELETE' });
                if (core.store.id === leaving)
                    core.finish('user_deleted', { here: true });
                return answer?.deleteAt ?? null;
            }
            finally {
                core.leaving = false;
            }
        },
        factors: () => core.call('/factors'),
        beginTotp: () => post('/factors/totp'),
        confirmTotp: async (code) => (await post('/factors/totp/confirm', { code })).recoveryCodes,
        removeTotp: () => core.call('/factors/totp', { method: 'DELETE' }),
        newRecoveryCodes: async () => (await post('/factors/recovery-codes')).recoveryCodes,
        passkeyOptions: () => post('/passkeys/options'),
        addPasskey: async (body) => (await post('/passkeys', body)).passkey,
        renamePasskey: (id, name) => core.call(passkey(id), { method: 'PATCH', body: { name } }),
        removePasskey: (id) => core.call(passkey(id), { method: 'DELETE' }),
    };
}
