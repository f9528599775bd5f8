// The account below the devices: password, address, second factor, passkeys, the user's data.
// Actions that require a fresh authentication ask for it and then continue.
import { ask } from './ask.js';
import { canUsePasskeys, createPasskey, usePasskey, wasCancelled } from './passkeys.js';
import { busy, say } from './screens.js';
import { totpSetUp } from './steps.js';
import { count, exactTime, failureInWords, fullTime } from './words.js';

const byId = (id) => document.getElementById(id);
const CODE = { name: 'code', label: 'Code', autocomplete: 'one-time-code', inputmode: 'numeric' };
const PASSWORD = { name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password' };
const NEW_PASSWORD = { name: 'newPassword', label: 'New password', type: 'password', autocomplete: 'new-password' };

export function accountScreen(client) {
  const { account } = client;
  let factors = null;
  let features = [];

  on('change-password', changePassword);
  on('change-email', changeEmail);
  on('verify-email', verifyEmail);
  on('add-totp', addTotp);
  on('remove-totp', () => fresh(() => account.removeTotp()));
  on('new-codes', async () => showCodes(await fresh(() => account.newRecoveryCodes())));
  on('add-passkey', addPasskey);
  on('export', download);
  on('delete', remove);

  function on(id, work) {
    const button = byId(`account-${id}`);
    button.addEventListener('click', () => busy(button, () => attempt(work)));
  }

  async function attempt(work) {
    say(byId('account-error'), '');
    say(byId('account-status'), '');
    try {
      await work();
      if (client.user !== null) await load();
    } catch (error) {
      if (wasCancelled(error)) return;
      if (error.status !== 401) say(byId('account-error'), failureInWords(error));
    }
  }

  function done(text) {
    say(byId('account-status'), text);
  }

  /**
   * Runs an action that requires a fresh authentication; if there is none, asks for it and runs the
   * action again.
   */
  async function fresh(work) {
    try {
      return await work();
    } catch (error) {
      if (error.code !== 'fresh_authentication_required') throw error;
    }
    if (!(await prove())) throw Object.assign(new Error('cancelled'), { name: 'AbortError' });
    return work();
  }

  async function prove() {
    factors ??= await account.factors();
    if (factors.passkeys.length > 0 && canUsePasskeys()) {
      const { loginTicket, publicKey } = await client.passkeyLogin();
      await account.reauthenticate({ loginTicket, credential: await usePasskey(publicKey) });
      return true;
    }
    const field = factors.totp ? CODE : PASSWORD;
    const text = factors.totp ? 'Enter the code that your authenticator app shows.' : 'Enter your password to go on.';
    return ask({ title: 'Is it you?', text, yes: 'Continue', fields: [field] }, (values) => account.reauthenticate(values));
  }

  async function changePassword() {
    const fields = [{ ...PASSWORD, name: 'currentPassword', label: 'Current password' }, NEW_PASSWORD];
    const text = 'All your other devices are signed out.';
    const ended = await ask({ title: 'Change password', text, yes: 'Change password', fields }, async (values) => ({
      ended: await account.changePassword(values),
    }));
    if (ended) done(`Your password is changed. Signed out ${count(ended.ended, 'other device')}.`);
  }

  async function changeEmail() {
    const fields = [{ name: 'newEmail', label: 'New email', type: 'email', autocomplete: 'email' }];
    const asked = await ask({ title: 'Change email', yes: 'Send code', fields }, ({ newEmail }) =>
      fresh(() => account.requestEmailChange(newEmail)));
    if (asked) await confirmCode(asked, 'to the new address', (proof) => account.confirmEmailChange(proof), 'Your email is changed.');
  }

  async function verifyEmail() {
    const asked = await account.requestEmailVerification();
    if (asked) await confirmCode(asked, `to ${client.user.email}`, (proof) => account.confirmEmailVerification(proof), 'Your email is confirmed.');
  }

  async function confirmCode({ requestId }, where, confirm, text) {
    const question = { title: 'Enter the code', text: `We sent a code ${where}.`, yes: 'Confirm', fields: [CODE] };
    if (await ask(question, ({ code }) => confirm({ requestId, code: code.replace(/\s/g, '') }))) done(text);
  }

  async function addTotp() {
    const begun = await fresh(() => account.beginTotp());
    const content = document.createElement('div');
    content.append(...totpSetUp(begun));
    const question = { title: 'Authenticator app', content, yes: 'Confirm', fields: [CODE] };
    const codes = await ask(question, ({ code }) => account.confirmTotp(code.replace(/\s/g, '')));
    if (codes) await showCodes(codes);
  }

  function showCodes(codes) {
    const list = document.createElement('ul');
    list.className = 'codes';
    list.dataset.testid = 'recovery-codes';
    list.append(...codes.map((code) => Object.assign(document.createElement('li'), { textContent: code })));
    const text = 'Keep these recovery codes in a safe place. Each signs you in once if you lose your phone. They are shown only now.';
    return ask({ title: 'Recovery codes', text, content: list, yes: 'I have kept them' }, async () => true);
  }

  async function addPasskey() {
    const { requestId, publicKey } = await fresh(() => account.passkeyOptions());
    const credential = await createPasskey(publicKey);
    const fields = [{ name: 'name', label: 'Name', value: 'This device', hint: 'So that you can tell your passkeys apart.' }];
    await ask({ title: 'Passkey made', yes: 'Save', fields }, ({ name }) => account.addPasskey({ requestId, credential, name }));
    done('You can sign in with your passkey from now on.');
  }

  async function download() {
    const data = await fresh(() => account.export());
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
    link.download = 'my-account.json';
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async function remove() {
    const text = 'All your devices are signed out, and your account and everything stored about it is deleted.';
    await ask({ title: 'Delete your account?', text, yes: 'Delete account', danger: true }, () => fresh(() => account.remove()));
  }

  async function load() {
    const { user } = client;
    byId('account-email').textContent = user.email;
    byId('account-email-state').textContent = user.emailVerified ? 'Confirmed' : 'Not confirmed';
    byId('account-verify-email').hidden = Boolean(user.emailVerified) || !features.includes('mail');
    byId('account-change-email').hidden = !features.includes('mail');
    byId('account-factors').hidden = !features.includes('totp');
    byId('account-passkeys').hidden = !features.includes('passkeys') || !canUsePasskeys();
    byId('account-delete').hidden = !features.includes('account_deletion');
    if (!features.includes('totp') && !features.includes('passkeys')) return;
    factors = await account.factors();
    const { totp, recoveryCodes, passkeys } = factors;
    byId('account-totp-state').textContent = totp
      ? `On since ${fullTime(totp.addedAt)}. ${count(recoveryCodes?.left ?? 0, 'recovery code')} left.`
      : 'Off. A code of an app on your phone, beside your password.';
    byId('account-add-totp').hidden = totp !== null;
    byId('account-remove-totp').hidden = totp === null;
    byId('account-new-codes').hidden = totp === null;
    byId('account-passkey-list').replaceChildren(...passkeys.map(passkeyRow));
  }

  function passkeyRow(passkey) {
    const row = document.createElement('li');
    const text = document.createElement('span');
    const name = passkey.name ?? 'Passkey';
    text.textContent = `${name}, added ${fullTime(passkey.addedAt)}`
      + (passkey.lastUsedAt ? `, last used ${fullTime(passkey.lastUsedAt)}` : '');
    const rename = buttonOf('Rename', `Rename ${name}`, () => ask(
      { title: 'Rename passkey', yes: 'Save', fields: [{ name: 'name', label: 'Name', value: name }] },
      (values) => fresh(() => account.renamePasskey(passkey.id, values.name)),
    ));
    const removal = buttonOf('Remove', `Remove ${name}, added ${exactTime(passkey.addedAt)}`, () => fresh(() => account.removePasskey(passkey.id)));
    row.append(text, rename, removal);
    row.dataset.testid = 'passkey';
    return row;
  }

  function buttonOf(text, label, work) {
    const button = document.createElement('button');
    Object.assign(button, { type: 'button', className: 'plain', textContent: text, ariaLabel: label });
    button.addEventListener('click', () => busy(button, () => attempt(work)));
    return button;
  }

  return {
    open() {
      factors = null;
      say(byId('account-error'), '');
      say(byId('account-status'), '');
      client.config().then((config) => {
        features = config.features ?? [];
        return attempt(async () => undefined);
      }, () => undefined);
    },
  };
}
