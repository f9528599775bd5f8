// Passkeys: the service's JSON to the browser's call, and back.

/** Whether this browser can make and use passkeys. */
export function canUsePasskeys() {
  return typeof PublicKeyCredential === 'function'
    && typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function';
}

/** Makes a passkey on this device. */
export async function createPasskey(publicKey) {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
  return (await navigator.credentials.create({ publicKey: options })).toJSON();
}

/** Asks the person for a passkey. */
export async function usePasskey(publicKey, more = {}) {
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
  return (await navigator.credentials.get({ publicKey: options, ...more })).toJSON();
}

/** Offers passkeys in the email field's own list, without a button, where the browser can. */
export async function canOfferPasskeys() {
  return canUsePasskeys() && Boolean(await PublicKeyCredential.isConditionalMediationAvailable?.());
}

/** The person closed the browser's dialog, or another one took its place: nothing to report. */
export function wasCancelled(error) {
  return error.name === 'NotAllowedError' || error.name === 'AbortError';
}
