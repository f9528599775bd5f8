//! The test vectors of the specification, and each way in which a credential can be wrong.

use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL_NO_PAD;

use super::authenticator_data::AuthenticatorData;
use super::*;

const VECTORS: &str = include_str!("vectors.txt");
const RP_ID: &str = "example.org";
const ORIGIN: &str = "https://example.org";

/// A registration and an authentication with the same credential.
struct Vector {
    id: Vec<u8>,
    created: Signed,
    attestation_object: Vec<u8>,
    used: Signed,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
}

struct Signed {
    challenge: String,
    client_data: Vec<u8>,
}

fn vector(name: &str) -> Vector {
    let line = VECTORS.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    let mut parts = line.split(' ').skip(1).map(unhex);
    let mut next = || parts.next().unwrap();
    let id = next();
    let created = Signed { challenge: BASE64URL_NO_PAD.encode(next()), client_data: next() };
    let attestation_object = next();
    let used = Signed { challenge: BASE64URL_NO_PAD.encode(next()), client_data: next() };
    Vector { id, created, attestation_object, used, authenticator_data: next(), signature: next() }
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

impl Vector {
    fn registration(&self) -> CredentialJson {
        self.credential(&self.created.client_data, |response| {
            response.attestation_object = Some(BASE64URL_NO_PAD.encode(&self.attestation_object));
        })
    }

    fn authentication(&self) -> CredentialJson {
        self.credential(&self.used.client_data, |response| {
            response.authenticator_data = Some(BASE64URL_NO_PAD.encode(&self.authenticator_data));
            response.signature = Some(BASE64URL_NO_PAD.encode(&self.signature));
        })
    }

    fn credential(&self, client_data: &[u8], fill: impl FnOnce(&mut ResponseJson)) -> CredentialJson {
        let mut response = ResponseJson {
            client_data_json: BASE64URL_NO_PAD.encode(client_data),
            attestation_object: None,
            authenticator_data: None,
            signature: None,
            user_handle: None,
            transports: None,
        };
        fill(&mut response);
        let id = BASE64URL_NO_PAD.encode(&self.id);
        CredentialJson { id, raw_id: None, r#type: Some("public-key".to_owned()), response }
    }

    fn attested_data(&self) -> Vec<u8> {
        let object = Item::read(&self.attestation_object).unwrap();
        object.named("authData").and_then(Item::bytes).unwrap().to_vec()
    }

    fn is_registered(&self) -> Result<Registered, Refused> {
        register(&self.registration(), &expected(&self.created.challenge, &is_ours))
    }
}

fn is_ours(origin: &str) -> bool {
    origin == ORIGIN
}

fn expected<'a>(challenge: &'a str, allows_origin: &'a dyn Fn(&str) -> bool) -> Expected<'a> {
    Expected { rp_id: RP_ID, challenge, allows_origin }
}

/// The vectors choose at random whether the person was verified, so some of them are refused for that.
fn verified(bytes: &[u8]) -> bool {
    bytes[32] & 0b101 == 0b101
}

#[test]
fn vectors_of_the_specification_are_accepted() {
    for (name, algorithm) in [
        ("none-es256", Algorithm::Es256),
        ("packed-self-es256", Algorithm::Es256),
        ("none-es256-long-credential-id", Algorithm::Es256),
        ("packed-es256", Algorithm::Es256),
        ("packed-rs256", Algorithm::Rs256),
        ("packed-eddsa", Algorithm::EdDsa),
        ("apple-es256", Algorithm::Es256),
        ("fido-u2f-es256", Algorithm::Es256),
    ] {
        let vector = vector(name);
        let (attested, expected_now) = (vector.attested_data(), expected(&vector.used.challenge, &is_ours));
        let data = AuthenticatorData::read(&attested).unwrap();
        let backup_eligible = data.is_backup_eligible();
        let credential = data.credential.unwrap();
        assert_eq!((credential.id, credential.key.algorithm), (&vector.id[..], algorithm), "{name}");
        match vector.is_registered() {
            Ok(registered) => {
                assert!(verified(&attested), "{name}");
                assert_eq!((registered.id, registered.algorithm), (vector.id.clone(), algorithm), "{name}");
                assert_eq!(registered.public_key, credential.cose_key, "{name}");
            }
            Err(refused) => {
                assert_eq!((refused, verified(&attested)), (Refused::NotVerified, false), "{name}")
            }
        }
        let known = Known { public_key: credential.cose_key, backup_eligible };
        let done = authenticate(&vector.authentication(), known, &expected_now);
        match verified(&vector.authenticator_data) {
            true => assert_eq!(done.map(|done| done.counter), Ok(0), "{name}"),
            false => assert_eq!(done, Err(Refused::NotVerified), "{name}"),
        }
        let hash = digest(&SHA256, &vector.used.client_data);
        let message = [&vector.authenticator_data[..], hash.as_ref()].concat();
        assert!(credential.key.verify(&message, &vector.signature), "{name}");
        assert!(!credential.key.verify(&message[1..], &vector.signature), "{name}");
    }
}

#[test]
fn pages_within_pages_of_others_are_refused() {
    for name in ["none-es256-crossOrigin", "none-es256-topOrigin"] {
        assert_eq!(vector(name).is_registered(), Err(Refused::WrongOrigin), "{name}");
    }
}

#[test]
fn other_algorithms_are_refused() {
    assert_eq!(vector("packed-es384").is_registered(), Err(Refused::Malformed));
}

type Part = fn(&mut ResponseJson) -> &mut String;

/// A vector whose person was verified both times.
const GOOD: &str = "packed-es256";

#[test]
fn what_was_made_for_something_else_is_refused() {
    let vector = vector(GOOD);
    let registered = vector.is_registered().unwrap();
    let known = Known { public_key: &registered.public_key, backup_eligible: registered.backup_eligible };
    let use_it = |expected: &Expected<'_>| authenticate(&vector.authentication(), known, expected);
    let good = expected(&vector.used.challenge, &is_ours);
    assert!(use_it(&good).is_ok());

    assert_eq!(use_it(&Expected { rp_id: "example.com", ..good }), Err(Refused::WrongRelyingParty));
    let other = expected(&vector.created.challenge, &is_ours);
    assert_eq!(use_it(&other), Err(Refused::WrongChallenge));
    let nowhere = expected(&vector.used.challenge, &|_| false);
    assert_eq!(use_it(&nowhere), Err(Refused::WrongOrigin));
    let changed = Known { backup_eligible: !known.backup_eligible, ..known };
    assert_eq!(authenticate(&vector.authentication(), changed, &good), Err(Refused::Changed));

    let mut mixed = vector.authentication();
    mixed.response.client_data_json = vector.registration().response.client_data_json;
    assert_eq!(authenticate(&mixed, known, &good), Err(Refused::WrongCeremony));
    let mut mixed = vector.registration();
    mixed.response.client_data_json = vector.authentication().response.client_data_json;
    assert_eq!(register(&mixed, &good), Err(Refused::WrongCeremony));
}

#[test]
fn no_byte_that_is_signed_can_be_changed() {
    let vector = vector(GOOD);
    let registered = vector.is_registered().unwrap();
    let known = Known { public_key: &registered.public_key, backup_eligible: registered.backup_eligible };
    let good = expected(&vector.used.challenge, &is_ours);
    let parts: [(&[u8], Part); 3] = [
        (&vector.used.client_data, |response| &mut response.client_data_json),
        (&vector.authenticator_data, |response| response.authenticator_data.as_mut().unwrap()),
        (&vector.signature, |response| response.signature.as_mut().unwrap()),
    ];
    for (bytes, part) in parts {
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            let mut credential = vector.authentication();
            *part(&mut credential.response) = BASE64URL_NO_PAD.encode(&changed);
            assert!(authenticate(&credential, known, &good).is_err(), "byte {place}");
        }
    }
}

#[test]
fn a_registration_that_is_cut_or_longer_is_refused() {
    let vector = vector(GOOD);
    let good = expected(&vector.created.challenge, &is_ours);
    let whole = &vector.attestation_object;
    for length in (0..whole.len()).step_by(7) {
        let mut credential = vector.registration();
        credential.response.attestation_object = Some(BASE64URL_NO_PAD.encode(&whole[..length]));
        assert_eq!(register(&credential, &good), Err(Refused::Malformed), "{length} bytes");
    }
    let mut longer = vector.registration();
    longer.response.attestation_object = Some(BASE64URL_NO_PAD.encode([&whole[..], &[0]].concat()));
    assert_eq!(register(&longer, &good), Err(Refused::Malformed));
    let mut other = vector.registration();
    other.id = BASE64URL_NO_PAD.encode(b"another");
    assert_eq!(register(&other, &good), Err(Refused::Malformed));
}

#[test]
fn a_credential_is_read_as_browsers_and_libraries_write_it() {
    let json = serde_json::json!({
        "id": "AQID", "rawId": "AQID", "type": "public-key", "authenticatorAttachment": "platform",
        "clientExtensionResults": {"credProps": {"rk": true}},
        "response": {
            "clientDataJSON": BASE64URL_NO_PAD.encode(br#"{"type":"webauthn.get","challenge":"AA==","origin":"x"}"#),
            "userHandle": "BwcHBw==", "transports": ["internal", "hybrid", "carrier pigeon", "internal"],
        },
    });
    let read = |json: &serde_json::Value| serde_json::from_value::<CredentialJson>(json.clone()).unwrap();
    let credential = read(&json);
    assert_eq!(credential.id(), Some(vec![1, 2, 3]));
    assert_eq!(credential.user_handle(), Some(vec![7; 4]));
    assert_eq!(credential.challenge().as_deref(), Some("AA"));
    assert_eq!(credential.transports(), ["hybrid", "internal"]);
    for (member, value) in [("rawId", "AQIE"), ("type", "password"), ("id", "***"), ("id", "")] {
        let mut other = json.clone();
        other[member] = value.into();
        assert_eq!(read(&other).id(), None, "{member}");
    }
}

proptest::proptest! {
    #[test]
    fn any_authenticator_data_is_read_or_refused(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        let _ = AuthenticatorData::read(&bytes);
    }
}
