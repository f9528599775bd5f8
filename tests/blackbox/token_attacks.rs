//! Tokens as an attacker would forge them: with an embedded or public key, in bytes that are not text, for
//! another session, for another audience, not yet valid. Without the fault each is valid, which is checked
//! first.

use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto, encode};
use pem::Pem;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::time::unix_seconds;
use crate::support::token::{Token, base64url};
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

/// What the attacker signs with.
const OWN_SECRET: &str = "a secret that the attacker has chosen, long enough";

/// The prefix of the 32 bytes of a public Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const ED25519_INFO: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// 1,024 bits, generated for this test and used nowhere else. The library that generates keys refuses to
/// generate such small ones.
const SMALL_RSA_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAOmlkBzNvKBAYSSz
75PpbfYVJSKKjOjOv6vICuXeoVOss0wCxHI6PdINXjOFGiZFXTasfTTut858iiTK
95P0Lrjj1FbenbKIgefoi0aTWrD2g4aKQqUYQA1Krk8qhR1b/HisZILGGZPzSgWe
0yMGne6WWFaGqfVYGOP7PZYYPOGpAgMBAAECgYA9NoUlJrmuem95ADNaWyPV/wA1
pnr4W4JX7Rb91nAJzgtDdM4m5x9fMuVlNg/9ytp7AoHjJk+9p19B+HMYrja29cH/
lJdBhmMY3UNW4dj1Z13h5Zr0+tSOQQPki7GRvQG2ARsnlPnCwCSlkCTKuGklV17E
53iQBvQJWPH/+fU16QJBAPaXl8bIhNldG+StMMmLknT0260uDDhfqNT89PjeVejV
NkgXLRs1zklx0agDimJtwqei7KqW8jT02X2mA4w57t8CQQDyj4j96Ds6PgFql63h
MJwwspS+xWr0quj0NuuR6C5/TE9SPnlrS226MdCYChbRwRkMjmfUD4+I0vy6rAtv
hCh3AkEA3YtU0UNWF/OPG+R98JV0/579vpmgYQWQqcqaTP10MbtdCWfJHqk4rMOV
mV2U9tmmCPZXquvyr6FLxZdhmJp0AQJBAJCODBVNnmaCZ3Ov+3c18g9vjgf3PVuc
s4I/bLqixXsl7ivUgaX46ObLI0ZI1PqiepwqDiSqNV9UZjuVpqcJ+tcCQQCUiCv5
4ToTFqFFEEW+tvuMvYD2v2ko/DKAmOzrBDKQhy1ArsaX7jeag+s7mM67ZGUo0aau
4XQ0U3nKstXtNg3+
-----END PRIVATE KEY-----
";

async fn signed_in(app: &TestApp, name: &str) -> Client {
    let mut client = app.client();
    client.signup(&Person::named(name)).await.expect(201);
    client
}

fn opened(client: &Client) -> Token {
    Token::open(client.access.as_ref().unwrap(), ACCESS_SECRET)
}

/// A protected request with that token.
async fn show(client: &Client, token: String) -> Answer {
    let mut client = client.clone();
    client.access = Some(token);
    client.session().await
}

#[track_caller]
fn check_refused(what: &str, answer: &Answer, code: &str) {
    let found = (answer.status, answer.json["code"].as_str());
    assert_eq!(found, (401, Some(code)), "{what}: {answer}");
}

/// RFC 8725, section 3.10.
#[tokio::test]
async fn a_key_that_comes_with_the_token_is_not_used() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let good = opened(&ada);
    show(&ada, good.sign(ACCESS_SECRET)).await.expect(200);

    // A service that followed a URL from a token would connect here.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let key = EncodingKey::from_secret(OWN_SECRET.as_bytes());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::HS256).unwrap();
    jwk.common.key_id = Some("mine".to_owned());

    for name in [good.header.kid.clone(), Some("mine".to_owned()), None] {
        let named = good.with_header(|header| header.kid = name.clone());
        let forged = [
            ("jwk", named.with_header(|header| header.jwk = Some(jwk.clone()))),
            ("jku", named.with_header(|header| header.jku = Some(address.clone()))),
            ("x5u", named.with_header(|header| header.x5u = Some(address.clone()))),
            ("x5c", named.with_header(|header| header.x5c = Some(vec![base64url(OWN_SECRET.as_bytes())]))),
        ];
        for (what, token) in forged {
            let answer = show(&ada, token.sign(OWN_SECRET)).await;
            check_refused(&format!("{what}, key {name:?}"), &answer, "token_invalid");
        }
    }
    let nobody = listener.accept().expect_err("an address that a token told was followed");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

/// RFC 8725, section 2.1: a public key is known to everybody, so it must not be accepted as a shared secret.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    let setup = Setup::on(Database::Sqlite).await;
    let file = setup.data_dir().join("jwt.pem").display().to_string();
    setup.command(&["keys", "generate", "--algorithm", "EdDSA", "--out", &file]).await.expect_code(0);
    let app = setup.set("JWT_ALGORITHM", "EdDSA").set("JWT_PRIVATE_KEY_FILE", &file).start().await;
    let ada = signed_in(&app, "Ada").await;
    ada.session().await.expect(200);
    let keys = ada.get("/.well-known/jwks.json").await.expect(200);
    let shown = &keys.json["keys"][0];
    let jwk: Jwk = serde_json::from_value(shown.clone()).unwrap();
    let raw = DecodingKey::from_jwk(&jwk).unwrap().try_get_as_bytes().unwrap().to_vec();
    let info = [&ED25519_INFO[..], &raw[..]].concat();
    let pem = pem::encode(&Pem::new("PUBLIC KEY", info.clone()));

    let genuine = insecure_decode::<Value>(ada.access.as_ref().unwrap()).unwrap();
    assert_eq!(genuine.header.alg, Algorithm::EdDSA);
    let token = Token { header: genuine.header, claims: genuine.claims };
    let token = token.with_header(|header| header.alg = Algorithm::HS256);
    let secrets = [
        ("its bytes", raw),
        ("its x", shown["x"].as_str().unwrap().as_bytes().to_vec()),
        ("its JWK", shown.to_string().into_bytes()),
        ("the answer that shows it", keys.text.clone().into_bytes()),
        ("its DER", info),
        ("its PEM", pem.replace("\r\n", "\n").into_bytes()),
        ("its PEM with CRLF", pem.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()),
    ];
    for (what, secret) in secrets {
        let forged = encode(&token.header, &token.claims, &EncodingKey::from_secret(&secret)).unwrap();
        check_refused(what, &show(&ada, forged).await, "token_invalid");
    }
}

/// RFC 8725, section 3.2: a key that is too weak, or is not for the algorithm, does not sign at all.
#[tokio::test]
async fn a_key_of_another_size_or_curve_ends_the_start() {
    let other_curve = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let other_curve = Pem::new("PRIVATE KEY", other_curve.to_pkcs8v1().unwrap().as_ref().to_vec());
    let keys = [
        ("RS256", SMALL_RSA_KEY.to_owned(), "TooSmall"),
        ("ES256", pem::encode(&other_curve), "InvalidEcdsaKey"),
    ];
    for (algorithm, key, why) in keys {
        let setup = Setup::on(Database::Sqlite).await;
        let file = setup.data_dir().join("unfit.pem");
        std::fs::write(&file, key).unwrap();
        let setup = setup.set("JWT_ALGORITHM", algorithm).set("JWT_PRIVATE_KEY_FILE", file.display());
        let named = format!("JWT_PRIVATE_KEY_FILE: got {file:?}");
        setup.run().await.expect_code(2).expect_output(&named).expect_output(why);
        setup.command(&["config", "check"]).await.expect_code(2).expect_output(&named);
    }
}

/// A token of arbitrary bytes with a valid signature.
fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let key = EncodingKey::from_secret(ACCESS_SECRET.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// The JSON object with one more member.
fn with_member(object: &[u8], member: &[u8]) -> Vec<u8> {
    [&b"{"[..], member, &b","[..], &object[1..]].concat()
}

fn utf16(text: &[u8]) -> Vec<u8> {
    std::str::from_utf8(text).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// RFC 8725, section 3.7.
#[tokio::test]
async fn what_is_not_utf8_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let good = opened(&ada);
    let (header, claims) =
        (serde_json::to_vec(&good.header).unwrap(), serde_json::to_vec(&good.claims).unwrap());
    let (fit, name, value) = (&br#""more":1"#[..], &b"\"\xff\xfe\":1"[..], &b"\"more\":\"\xff\xfe\""[..]);
    show(&ada, signed(&with_member(&header, fit), &with_member(&claims, fit))).await.expect(200);

    let bad = [
        ("a claim's name", signed(&header, &with_member(&claims, name))),
        ("claims in UTF-16", signed(&header, &utf16(&claims))),
        ("claims with a byte order mark", signed(&header, &[&b"\xef\xbb\xbf"[..], &claims[..]].concat())),
        ("the name of a member of the header", signed(&with_member(&header, name), &claims)),
        ("a member of the header", signed(&with_member(&header, value), &claims)),
        ("a header in UTF-16", signed(&utf16(&header), &claims)),
    ];
    for (what, token) in bad {
        check_refused(what, &show(&ada, token).await, "token_invalid");
    }
}

/// RFC 8725, section 3.8: each part of a token exists, but they do not belong together.
#[tokio::test]
async fn a_token_fits_one_session_of_one_user() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 2).await;
    let bob = signed_in(&app, "Bob").await;
    let (laptop, phone, other) = (opened(&devices[0]), opened(&devices[1]), opened(&bob));
    show(&devices[0], laptop.sign(ACCESS_SECRET)).await.expect(200);

    let nobody = Uuid::new_v4().to_string();
    let of = |token: &Token, claim: &str| token.claims[claim].clone();
    let sid = |token: &Token| laptop.with("sid", of(token, "sid"));
    let stk = |token: &Token| laptop.with("stk", of(token, "stk"));
    let forged = [
        ("another user", laptop.with("sub", of(&other, "sub")), "session_terminated"),
        ("another user's session", sid(&other), "session_terminated"),
        ("another user and session", sid(&other).with("sub", of(&other, "sub")), "token_invalid"),
        ("another user's session token", stk(&other), "token_invalid"),
        ("another session", sid(&phone), "token_invalid"),
        ("another session's token", stk(&phone), "token_invalid"),
        ("nobody", laptop.with("sub", nobody.clone()), "session_terminated"),
        ("nobody's session", laptop.with("sid", nobody.clone()), "session_terminated"),
        ("nobody's session token", laptop.with("stk", nobody), "token_invalid"),
    ];
    for (what, token, code) in forged {
        check_refused(what, &show(&devices[0], token.sign(ACCESS_SECRET)).await, code);
    }
    for device in devices.iter().chain([&bob]) {
        device.session().await.expect(200);
    }
}

/// The same for refresh tokens; and nobody's session ends because of it.
#[tokio::test]
async fn a_refresh_token_fits_one_session_of_one_user() {
    let app = TestApp::start().await;
    let (mut ada, mut bob) = (signed_in(&app, "Ada").await, signed_in(&app, "Bob").await);
    let open = |client: &Client| Token::open(client.cookie.as_ref().unwrap(), REFRESH_SECRET);
    let (own, other) = (open(&ada), open(&bob));

    let generation = own.claims["gen"].as_u64().unwrap();
    let forged = [
        ("another user", own.with("sub", other.claims["sub"].clone()), "session_terminated"),
        ("another user's session", own.with("sid", other.claims["sid"].clone()), "session_terminated"),
        ("a generation that is to come", own.with("gen", generation + 1), "refresh_token_invalid"),
        ("a generation that never was", own.with("gen", -1), "refresh_token_invalid"),
    ];
    for (what, token, code) in forged {
        let answer = ada.send(ada.body_refresh(&token.sign(REFRESH_SECRET))).await;
        check_refused(what, &answer, code);
    }
    for device in [&mut ada, &mut bob] {
        device.session().await.expect(200);
        device.refresh().await.expect(200);
    }
}

/// RFC 7519, section 4.1.3. A configured audience is tested in `tokens.rs`; here none is configured.
#[tokio::test]
async fn a_token_for_somebody_else_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let good = opened(&ada);
    show(&ada, good.sign(ACCESS_SECRET)).await.expect(200);

    for audience in [json!("the-bank"), json!(["the-bank"]), json!(["the-bank", "the-shop"])] {
        let token = good.with("aud", audience.clone()).sign(ACCESS_SECRET);
        check_refused(&audience.to_string(), &show(&ada, token).await, "token_invalid");
    }
}

/// RFC 7519, section 4.1.5.
#[tokio::test]
async fn a_token_for_later_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let good = opened(&ada);
    show(&ada, good.with("nbf", unix_seconds() - 60).sign(ACCESS_SECRET)).await.expect(200);

    let later = good.with("nbf", unix_seconds() + 3600).sign(ACCESS_SECRET);
    check_refused("in an hour", &show(&ada, later).await, "token_invalid");
}

/// RFC 7515, section 4.1.11: a critical extension that is not understood makes the token invalid.
#[tokio::test]
async fn a_token_with_critical_extensions_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let access = opened(&ada);
    let refresh = Token::open(ada.cookie.as_ref().unwrap(), REFRESH_SECRET);
    show(&ada, access.sign(ACCESS_SECRET)).await.expect(200);
    let critical = |token: &Token| token.with_header(|header| header.crit = Some(vec!["exp".to_owned()]));
    check_refused("access", &show(&ada, critical(&access).sign(ACCESS_SECRET)).await, "token_invalid");
    let answer = ada.send(ada.body_refresh(&critical(&refresh).sign(REFRESH_SECRET))).await;
    check_refused("refresh", &answer, "refresh_token_invalid");
    ada.send(ada.body_refresh(&refresh.sign(REFRESH_SECRET))).await.expect(200);
}

/// RFC 7519, section 4.1: claims of a wrong type are not ignored.
#[tokio::test]
async fn a_claim_of_another_type_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app, "Ada").await;
    let good = opened(&ada);
    show(&ada, good.sign(ACCESS_SECRET)).await.expect(200);
    let issuer = good.claims["iss"].clone();
    let forged = [
        ("issuers", good.with("iss", json!([issuer, "somebody"]))),
        ("a number for an audience", good.with("aud", 7)),
        ("an object for an audience", good.with("aud", json!({"the": "bank"}))),
        ("numbers for audiences", good.with("aud", json!([7]))),
        ("text for a time", good.with("exp", "tomorrow")),
    ];
    for (what, token) in forged {
        check_refused(what, &show(&ada, token.sign(ACCESS_SECRET)).await, "token_invalid");
    }
}
