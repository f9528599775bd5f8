//! Passkeys: verifies what an authenticator has signed (WebAuthn Level 3, sections 7.1 and 7.2).
//!
//! Challenges, users and stored keys are the caller's responsibility; so is what a counter that went back
//! means. No attestation is requested, and an attestation statement is ignored: nothing relies on what it
//! proves.

mod authenticator_data;
mod cbor;
mod client_data;
mod public_key;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use authenticator_data::AuthenticatorData;
use cbor::Item;
use client_data::{Ceremony, ClientData};
use public_key::PublicKey;

pub use public_key::Algorithm;

/// base64url as browsers write it, and with the padding that some libraries add.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a credential is refused; for logs and tests only, since the client learns only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not what a browser makes, or of an algorithm that was not requested.
    #[error("malformed credential")]
    Malformed,
    /// Made for another ceremony.
    #[error("wrong ceremony")]
    WrongCeremony,
    /// Not the challenge that was issued.
    #[error("wrong challenge")]
    WrongChallenge,
    /// Made on another site's page, or in a frame of one.
    #[error("wrong origin")]
    WrongOrigin,
    /// Made for another relying party.
    #[error("wrong relying party")]
    WrongRelyingParty,
    /// The user was not present, or the authenticator did not verify who it was.
    #[error("user not verified")]
    NotVerified,
    /// The key did not sign this.
    #[error("wrong signature")]
    WrongSignature,
    /// A property of the credential that can never change has changed.
    #[error("backup eligibility changed")]
    Changed,
}

/// A credential as `PublicKeyCredential.toJSON()` writes it: of a registration or an authentication.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialJson {
    id: String,
    #[serde(default)]
    raw_id: Option<String>,
    #[serde(default)]
    r#type: Option<String>,
    response: ResponseJson,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseJson {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    #[serde(default)]
    attestation_object: Option<String>,
    #[serde(default)]
    authenticator_data: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    user_handle: Option<String>,
    #[serde(default)]
    transports: Option<Vec<String>>,
}

impl CredentialJson {
    /// The credential's id, if it is the same one everywhere in the credential.
    #[must_use]
    pub fn id(&self) -> Option<Vec<u8>> {
        let id = decode(&self.id)?;
        let same = self.raw_id.as_deref().is_none_or(|raw| decode(raw).as_ref() == Some(&id));
        let is_key = self.r#type.as_deref().is_none_or(|kind| kind == "public-key");
        (same && is_key && !id.is_empty()).then_some(id)
    }

    /// The user that the credential says it belongs to: `user.id` of its registration.
    #[must_use]
    pub fn user_handle(&self) -> Option<Vec<u8>> {
        decode(self.response.user_handle.as_deref()?).filter(|handle| !handle.is_empty())
    }

    /// The challenge that was signed, as base64url without padding.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let client_data = decode(&self.response.client_data_json)?;
        ClientData::read(&client_data).map(|data| data.challenge.trim_end_matches('=').to_owned())
    }

    /// How the authenticator can be reached: only values of the registry, each once.
    #[must_use]
    pub fn transports(&self) -> Vec<&'static str> {
        const KNOWN: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];
        let said = self.response.transports.as_deref().unwrap_or_default();
        KNOWN.into_iter().filter(|known| said.iter().any(|transport| transport == known)).collect()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// What a ceremony is checked against.
#[expect(missing_debug_implementations, reason = "it lends a closure")]
pub struct Expected<'a> {
    /// The RP id.
    pub rp_id: &'a str,
    /// The challenge, as base64url without padding.
    pub challenge: &'a str,
    /// Whether pages of that origin may ask for it.
    pub allows_origin: &'a dyn Fn(&str) -> bool,
}

/// A new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: Vec<u8>,
    /// Its public key, a COSE_Key.
    pub public_key: Vec<u8>,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its signature counter; 0 if it has no counter.
    pub counter: u32,
    /// Whether it may be stored on more than one device.
    pub backup_eligible: bool,
    /// Whether it is backed up at the moment.
    pub backed_up: bool,
}

/// A credential that signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Its signature counter now.
    pub counter: u32,
    /// Whether it is stored on more than one device now.
    pub backed_up: bool,
}

/// A credential as it was stored.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its public key, a COSE_Key.
    pub public_key: &'a [u8],
    /// Whether it may be stored on more than one device.
    pub backup_eligible: bool,
}

/// Verifies a registration.
///
/// # Errors
/// [`Refused`].
pub fn register(credential: &CredentialJson, expected: &Expected<'_>) -> Result<Registered, Refused> {
    let response = &credential.response;
    let client_data = decode(&response.client_data_json).ok_or(Refused::Malformed)?;
    check_client_data(&client_data, Ceremony::Create, expected)?;
    let object = response.attestation_object.as_deref().and_then(decode).ok_or(Refused::Malformed)?;
    let object = Item::read(&object).ok_or(Refused::Malformed)?;
    let (Some(Item::Text(_)), Some(Item::Map(_))) = (object.named("fmt"), object.named("attStmt")) else {
        return Err(Refused::Malformed);
    };
    let bytes = object.named("authData").and_then(Item::bytes).ok_or(Refused::Malformed)?;
    let data = check_authenticator_data(bytes, expected)?;
    let (backup_eligible, backed_up) = (data.is_backup_eligible(), data.is_backed_up());
    let attested = data.credential.ok_or(Refused::Malformed)?;
    if credential.id().as_deref() != Some(attested.id) {
        return Err(Refused::Malformed);
    }
    Ok(Registered {
        id: attested.id.to_vec(),
        public_key: attested.cose_key.to_vec(),
        algorithm: attested.key.algorithm,
        counter: data.counter,
        backup_eligible,
        backed_up,
    })
}

/// Verifies that a known credential has signed.
///
/// # Errors
/// [`Refused`].
pub fn authenticate(
    credential: &CredentialJson,
    known: Known<'_>,
    expected: &Expected<'_>,
) -> Result<Authenticated, Refused> {
    let response = &credential.response;
    let client_data = decode(&response.client_data_json).ok_or(Refused::Malformed)?;
    check_client_data(&client_data, Ceremony::Get, expected)?;
    let bytes = response.authenticator_data.as_deref().and_then(decode).ok_or(Refused::Malformed)?;
    let data = check_authenticator_data(&bytes, expected)?;
    if data.is_backup_eligible() != known.backup_eligible {
        return Err(Refused::Changed);
    }
    let signature = response.signature.as_deref().and_then(decode).ok_or(Refused::Malformed)?;
    let key = Item::read(known.public_key).as_ref().and_then(PublicKey::read).ok_or(Refused::Malformed)?;
    let hash = digest(&SHA256, &client_data);
    if !key.verify(&[&bytes[..], hash.as_ref()].concat(), &signature) {
        return Err(Refused::WrongSignature);
    }
    Ok(Authenticated { counter: data.counter, backed_up: data.is_backed_up() })
}

fn check_client_data(json: &[u8], ceremony: Ceremony, expected: &Expected<'_>) -> Result<(), Refused> {
    let data = ClientData::read(json).ok_or(Refused::Malformed)?;
    if !data.is_of(ceremony) {
        return Err(Refused::WrongCeremony);
    }
    if data.challenge.trim_end_matches('=') != expected.challenge {
        return Err(Refused::WrongChallenge);
    }
    if data.is_embedded() || !(expected.allows_origin)(&data.origin) {
        return Err(Refused::WrongOrigin);
    }
    Ok(())
}

fn check_authenticator_data<'a>(
    bytes: &'a [u8],
    expected: &Expected<'_>,
) -> Result<AuthenticatorData<'a>, Refused> {
    let data = AuthenticatorData::read(bytes).ok_or(Refused::Malformed)?;
    if data.rp_id_hash != digest(&SHA256, expected.rp_id.as_bytes()).as_ref() {
        return Err(Refused::WrongRelyingParty);
    }
    if !data.is_user_verified() {
        return Err(Refused::NotVerified);
    }
    Ok(data)
}
