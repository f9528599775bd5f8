//! `Authenticator`: a browser's passkey, assembled byte by byte, so that a test can have it claim anything;
//! and the codes of an authenticator app.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::time::unix_millis;
use super::token::base64url;

/// How a passkey signs.
pub(crate) enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    pub(crate) fn es256() -> Self {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        Self::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, made.as_ref()).unwrap())
    }

    pub(crate) fn eddsa() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
    }

    pub(crate) fn rs256() -> Self {
        Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// COSE_Key.
    fn cose(&self) -> Vec<u8> {
        match self {
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (bytes(&point[1..33]), bytes(&point[33..]));
                let entries: [&[u8]; 10] =
                    [&[1], &[2], &[3], &[0x26], &[0x20], &[1], &[0x21], &x, &[0x22], &y];
                [&[0xa5][..], &entries.concat()].concat()
            }
            Self::EdDsa(key) => {
                let x = bytes(key.public_key().as_ref());
                let entries: [&[u8]; 8] = [&[1], &[1], &[3], &[0x27], &[0x20], &[6], &[0x21], &x];
                [&[0xa4][..], &entries.concat()].concat()
            }
            Self::Rs256(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                let (n, e) = (bytes(&public.n), bytes(&public.e));
                let entries: [&[u8]; 8] = [&[1], &[3], &[3], &[0x39, 1, 0], &[0x20], &n, &[0x21], &e];
                [&[0xa4][..], &entries.concat()].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A byte string in CBOR.
fn bytes(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x59][..], &length, content].concat()
}

fn text(content: &str) -> Vec<u8> {
    [&[0x60 + u8::try_from(content.len()).unwrap()][..], content.as_bytes()].concat()
}

/// One passkey; what it claims about itself can be changed between ceremonies.
pub(crate) struct Authenticator {
    pub(crate) key: Key,
    pub(crate) id: Vec<u8>,
    pub(crate) user_handle: Vec<u8>,
    /// The origin of the page on which it is used.
    pub(crate) origin: String,
    /// Overrides that of the options.
    pub(crate) rp_id: Option<String>,
    /// Overrides that of the options.
    pub(crate) challenge: Option<String>,
    pub(crate) counter: u32,
    /// By how much the counter increases with each use.
    pub(crate) counts: u32,
    pub(crate) present: bool,
    pub(crate) verified: bool,
    pub(crate) synced: bool,
    pub(crate) cross_origin: bool,
}

impl Authenticator {
    /// A device-bound passkey, with a counter.
    pub(crate) fn new(origin: &str) -> Self {
        Self::with(Key::es256(), origin)
    }

    pub(crate) fn with(key: Key, origin: &str) -> Self {
        Self {
            key,
            id: Uuid::new_v4().as_bytes().to_vec(),
            user_handle: Vec::new(),
            origin: origin.to_owned(),
            rp_id: None,
            challenge: None,
            counter: 0,
            counts: 1,
            present: true,
            verified: true,
            synced: false,
            cross_origin: false,
        }
    }

    /// A passkey that is synced over devices, without a counter.
    pub(crate) fn synced(origin: &str) -> Self {
        Self { synced: true, counts: 0, ..Self::new(origin) }
    }

    /// `navigator.credentials.create`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        self.user_handle = unbase64url(options["user"]["id"].as_str().unwrap());
        let client_data = self.client_data("webauthn.create", options);
        let rp_id = self.rp_id.clone().unwrap_or_else(|| options["rp"]["id"].as_str().unwrap().to_owned());
        let mut data = self.authenticator_data(&rp_id, 0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.key.cose());
        let object = [
            &[0xa3][..],
            &text("fmt"),
            &text("none"),
            &text("attStmt"),
            &[0xa0],
            &text("authData"),
            &bytes(&data),
        ]
        .concat();
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&client_data),
                "attestationObject": base64url(&object),
                "transports": ["internal", "hybrid"],
            },
        })
    }

    /// `navigator.credentials.get`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        self.counter += self.counts;
        let client_data = self.client_data("webauthn.get", options);
        let rp_id = self.rp_id.clone().unwrap_or_else(|| options["rpId"].as_str().unwrap().to_owned());
        let data = self.authenticator_data(&rp_id, 0);
        let signed = [&data[..], digest(&SHA256, &client_data).as_ref()].concat();
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&client_data),
                "authenticatorData": base64url(&data),
                "signature": base64url(&self.key.sign(&signed)),
                "userHandle": base64url(&self.user_handle),
            },
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = self.challenge.as_deref().unwrap_or_else(|| options["challenge"].as_str().unwrap());
        let data = json!({
            "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin,
        });
        data.to_string().into_bytes()
    }

    fn authenticator_data(&self, rp_id: &str, more: u8) -> Vec<u8> {
        let flag = |set: bool, bit: u8| u8::from(set) << bit;
        let synced = flag(self.synced, 3) | flag(self.synced, 4);
        let flags = flag(self.present, 0) | flag(self.verified, 2) | synced | more;
        let hash = digest(&SHA256, rp_id.as_bytes());
        [hash.as_ref(), &[flags], &self.counter.to_be_bytes()].concat()
    }
}

fn unbase64url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// An authenticator app, implemented from RFC 6238.
#[derive(Clone)]
pub(crate) struct App(Vec<u8>);

impl App {
    /// Creates it with a secret in the form in which it is typed in.
    pub(crate) fn with(base32: &str) -> Self {
        let (mut bits, mut count, mut secret) = (0_u64, 0, Vec::new());
        for letter in base32.bytes() {
            let value =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
            bits = bits << 5 | value as u64;
            count += 5;
            if count >= 8 {
                count -= 8;
                secret.push((bits >> count & 0xff) as u8);
            }
        }
        Self(secret)
    }

    /// The code of the time step that is this many steps from the current one.
    pub(crate) fn code(&self, steps: i64) -> String {
        let step = unix_millis() / 30_000 + steps;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let mac = hmac::sign(&key, &step.to_be_bytes());
        let mac = mac.as_ref();
        let place = usize::from(mac[19] & 0xf);
        let number = u32::from_be_bytes(mac[place..place + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// Six digits that are not the code of any nearby step.
    pub(crate) fn wrong_code(&self) -> String {
        let near: Vec<_> = (-3..=3).map(|steps| self.code(steps)).collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
    }
}
