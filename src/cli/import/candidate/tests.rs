//! Lines of an import, good and bad.

use super::*;

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDC";
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn fields(pairs: &[(&'static str, &str)]) -> Fields {
    let complete = [("email", "ada@example.com"), ("name", "Ada"), ("password", HASH)];
    complete.iter().chain(pairs).map(|(name, text)| (*name, (*text).to_owned())).collect()
}

fn read(pairs: &[(&'static str, &str)]) -> Result<Candidate, Refusal> {
    let how = Reading { roles: &[("USER".to_owned(), Role::Pro)], verified: false, without_hash: false };
    Candidate::read(&fields(pairs), how, NOW)
}

#[test]
fn what_may_be_missing_has_a_default() {
    let Candidate { account, old_id } = read(&[("role", ""), ("createdAt", "")]).unwrap();
    let user = account.user;
    assert_eq!((user.role, user.created_at, user.updated_at), (Role::Starter, NOW, NOW));
    assert_eq!((user.last_activity_at, old_id), (NOW, None));
}

#[test]
fn those_without_a_hash_come_in_where_that_is_asked_for() {
    let how = Reading { roles: &[], verified: true, without_hash: true };
    for (text, has_password) in [("", false), ("$argon2id$v=19$m=65536", false), (HASH, true)] {
        let account = Candidate::read(&fields(&[("password", text)]), how, NOW).unwrap().account;
        assert_eq!(account.password_hash.is_some(), has_password, "{text}");
        assert_eq!(account.user.email_verified_at, Some(NOW));
    }
    for damaged in [HASH.replace("$04$", "$31$"), HASH[..20].to_owned()] {
        assert!(Candidate::read(&fields(&[("password", damaged.as_str())]), how, NOW).is_err(), "{damaged}");
    }
}

#[test]
fn everything_is_read_as_sign_up_would() {
    let user = read(&[
        ("email", " Ada@Example.COM "),
        ("name", " Ada "),
        ("role", "admin"),
        ("createdAt", "2023-11-14 22:13:20"),
        ("updatedAt", "1700000000001"),
    ]);
    let user = user.unwrap().account.user;
    assert_eq!((user.email.as_str(), user.name.as_str(), user.role), ("ada@example.com", "Ada", Role::Admin));
    assert_eq!((user.created_at, user.updated_at.millis()), (NOW, 1_700_000_000_001));
}

#[test]
fn a_uuid_is_kept_and_any_other_id_is_always_the_same_uuid() {
    let id = |text: &str| read(&[("id", text)]).unwrap().account.user.id.uuid();
    let uuid = "0b4b9a0e-7f1c-4c37-9a53-3d2f6c1f1c11";
    assert_eq!(id(uuid).to_string(), uuid);
    assert_eq!(id(&uuid.to_uppercase()).to_string(), uuid);
    // Written down, so that a later version cannot give another one unnoticed.
    assert_eq!(id("clh3z9x0a0000qzrmn831i7rn").to_string(), "b97d5e92-0424-565a-878e-0be5e7d811d6");
    assert_ne!(id("1"), id("2"));
}

#[test]
fn what_cannot_be_stored_is_refused_by_name() {
    let long = "a".repeat(101);
    for (field, text) in [
        ("email", "ada"),
        ("email", ""),
        ("name", "\u{7}"),
        ("name", "   "),
        ("name", long.as_str()),
        ("password", "correct horse"),
        ("password", ""),
        ("role", "EMPEROR"),
        ("createdAt", "yesterday"),
        ("createdAt", "infinity"),
        ("email", "ada@exam\u{200b}ple.com"),
        ("name", "\u{200b}"),
        ("password", HASH.replace("$04$", "$31$").as_str()),
    ] {
        assert_eq!(read(&[(field, text)]).unwrap_err().field, field, "{text:?}");
    }
    for (cost, is_taken) in [("$15$", true), ("$16$", true), ("$17$", false)] {
        let hash = HASH.replace("$04$", cost);
        assert_eq!(read(&[("password", hash.as_str())]).is_ok(), is_taken, "{cost}");
    }
    assert_eq!(read(&[("role", "USER")]).unwrap().account.user.role, Role::Pro);
}
