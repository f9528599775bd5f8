// Passkeys: the service's JSON to the browser's call, and back.

/** Whether this browser can create and use passkeys. */
export function canUsePasskeys() {
  return typeof PublicKeyCredential === 'function'
    && typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function';
}

/** The pending offer in the email field: its controller, and a promise that resolves when it is over. */
let offer;

/** A browser accepts one request at a time, and rejects another while an offer is pending. */
async function withdrawOffer() {
  const standing = offer;
  offer = undefined;
  standing?.controller.abort();
  await standing?.over;
}

/** Creates a passkey on this device. */
export async function createPasskey(publicKey) {
  await withdrawOffer();
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
  return (await navigator.credentials.create({ publicKey: options })).toJSON();
}

/** Asks the user for a passkey. */
export async function usePasskey(publicKey) {
  await withdrawOffer();
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
  return (await navigator.credentials.get({ publicKey: options })).toJSON();
}

/** Offers passkeys in the email field's own list, and waits until one is picked there. */
export async function offerPasskeys(publicKey) {
  await withdrawOffer();
  const controller = new AbortController();
  const picking = navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey), mediation: 'conditional', signal: controller.signal,
  });
  offer = { controller, over: picking.catch(() => undefined) };
  return (await picking).toJSON();
}

/** Whether this browser can offer passkeys without a button. */
export async function canOfferPasskeys() {
  return canUsePasskeys() && Boolean(await PublicKeyCredential.isConditionalMediationAvailable?.());
}

/** The user closed the browser's dialog, or another one replaced it: nothing to report. */
export function wasCancelled(error) {
  return error.name === 'NotAllowedError' || error.name === 'AbortError';
}
