//! What the parts make of any input: no panic, nothing let through, nothing shown that must not be.
//! `PROPTEST_CASES=100000 ./scripts/test fuzz` tries more than 256 of each.

use std::collections::HashMap;
use std::net::IpAddr;

use auth_service::bus::internal::PeerMessage;
use auth_service::clock::{Clock, new_uuid};
use auth_service::config::{Config, JwtAlgorithm, VARIABLES};
use auth_service::domain::authentication::{Authentication, Methods};
use auth_service::domain::device::{Device, DeviceInfo, USER_AGENT_MAX_CHARS, parse_device_name};
use auth_service::domain::event::{LedgerEvent, OpenedBy};
use auth_service::domain::ids::{SessionId, SessionToken, UserId};
use auth_service::domain::session::Refresh;
use auth_service::domain::user::{Email, Role, parse_name};
use auth_service::events::announcement::Announcer;
use auth_service::security::access_token::{AccessTokens, Grant};
use auth_service::security::client_ip::client_ip;
use auth_service::security::generate::private_key_pem;
use auth_service::security::refresh_token::RefreshTokens;
use auth_service::security::ticket::{SpentIn, Tickets};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::store::{START, registration};

/// Any text, and texts that are nearly what something expects.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        2 => "[-+]?[0-9]{0,22}(\\.[0-9]{0,4})?(ms|s|m|h|d)?",
        2 => "(postgres|postgresql|redis|rediss|sqlite|file|https?)://[!-~]{0,40}",
        2 => "([0-9]{1,4}\\.){3}[0-9]{1,4}(/[0-9]{1,3})?(,[0-9a-f:]{1,40}(/[0-9]{1,3})?)?",
        2 => select(vec!["true", "false", "production", "test", "0", "1", "", " ", "*", "NaN", "inf", "EdDSA", "none"])
            .prop_map(str::to_owned),
        1 => "\\PC{200,600}",
    ]
}

fn settings() -> impl Strategy<Value = HashMap<String, String>> {
    let names = VARIABLES.to_vec();
    prop::collection::hash_map(select(names).prop_map(str::to_owned), value(), 0..12)
}

proptest! {
    #[test]
    fn any_configuration_is_taken_or_refused_in_words(mut vars in settings(), secret in "[!-~]{0,80}") {
        const MARK: &str = "ThisIsWhatNobodyMaySee";
        let folder = tempfile::tempdir().unwrap();
        vars.insert("DATA_DIR".to_owned(), folder.path().display().to_string());
        vars.insert("JWT_ACCESS_SECRET".to_owned(), format!("{MARK}{secret}"));
        let said = match Config::parse(&vars) {
            Ok(config) => format!("{config:?} {:?}", config.warnings),
            Err(errors) => {
                prop_assert!(!errors.0.is_empty());
                for error in &errors.0 {
                    prop_assert!(VARIABLES.contains(&error.variable), "{error}");
                    // Some are made of several lines or of any length: what is shown is neither.
                    prop_assert!(!error.to_string().contains('\n'), "{error:?}");
                }
                format!("{errors} {errors:?}")
            }
        };
        prop_assert!(!said.contains(MARK), "{said}");
    }

    #[test]
    fn any_user_agent_is_some_device(agent in any::<String>(), name in any::<Option<String>>()) {
        let device = DeviceInfo::from_user_agent(Some(&agent), name.clone());
        let kept = device.user_agent.as_deref().unwrap_or_default();
        prop_assert!(kept.chars().count() <= USER_AGENT_MAX_CHARS);
        prop_assert!(!kept.chars().any(char::is_control));
        if let Some(name) = name.and_then(|name| parse_device_name(&name).ok().flatten()) {
            prop_assert!(!name.is_empty() && name.trim() == name);
        }
    }

    /// As browsers write it, and then broken somewhere.
    #[test]
    fn a_broken_user_agent_is_some_device(
        version in any::<u32>(),
        system in select(vec!["Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "iPhone; CPU iPhone OS 17_0 like Mac OS X"]),
        cut in any::<Index>(),
        junk in "[ -~]{0,20}",
    ) {
        let whole = format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0 Safari/537.36");
        let at = cut.index(whole.len());
        let broken = format!("{}{junk}{}", &whole[..at], &whole[at..]);
        let device = DeviceInfo::from_user_agent(Some(&broken), None);
        prop_assert!(device.name.is_none_or(|name| !name.is_empty()));
    }

    #[test]
    fn any_address_and_name_is_kept_clean_or_refused(text in prop_oneof![any::<String>(), "[ -~]{1,20}@[ -~]{1,20}"]) {
        if let Ok(email) = Email::parse(&text) {
            prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()), "it is parsed to itself");
            prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
        }
        if let Ok(name) = parse_name(&text) {
            prop_assert!(!name.is_empty() && !name.chars().any(char::is_control));
        }
    }

    /// Redis may say anything, and so may anyone who reaches it.
    #[test]
    fn any_message_between_nodes_is_read_or_refused(text in any::<String>(), cut in any::<Index>()) {
        prop_assert!(serde_json::from_str::<PeerMessage>(&text).is_err());
        let node = new_uuid();
        let whole = format!(
            r#"{{"node":"{node}","user":"{node}","version":7,"ended":["{node}"],"at":{}}}"#,
            START.millis()
        );
        prop_assert!(serde_json::from_str::<PeerMessage>(&whole).is_ok());
        prop_assert!(serde_json::from_str::<PeerMessage>(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn a_client_that_writes_the_header_is_not_taken_for_somebody_else(hops in prop::collection::vec("[ -~]{0,40}", 0..6)) {
        let peer: IpAddr = "192.0.2.7".parse().unwrap();
        let hops = || hops.iter().map(String::as_bytes);
        prop_assert_eq!(client_ip(Some(peer), hops(), &[]), Some(peer), "a stranger is not believed");
        let trusted = ["192.0.2.0/24".parse().unwrap()];
        let honest = hops().chain([&b"198.51.100.1"[..]]);
        prop_assert_eq!(client_ip(Some(peer), honest, &trusted), "198.51.100.1".parse().ok());
    }

    /// Consumers read what a person has written back as it was, whatever it was.
    #[test]
    fn an_event_carries_any_text(email in any::<String>(), name in any::<Option<String>>(), agent in any::<String>()) {
        let (_, ledger) = registration("ada@example.com");
        let mut session = ledger.live()[0].clone();
        session.profile.device = Device::new(DeviceInfo::from_user_agent(Some(&agent), name));
        let device = &session.profile.device;
        let (kept, named) = (device.user_agent.clone(), device.name.clone());
        let announcer =
            Announcer::new("auth-service", ledger.user, START);
        let occasion = OpenedBy::Signup { email: email.as_str().into() };
        let mut seen = (false, false);
        for announcement in announcer.announce(&[LedgerEvent::Opened { session, occasion }]) {
            let message: Value = serde_json::from_str(&announcement.payload).unwrap();
            if message["event"] == "user.registered" {
                prop_assert_eq!(&message["email"], &Value::from(email.as_str()));
                seen.0 = true;
            }
            if message["event"] == "session.created" {
                let device = &message["deviceInfo"];
                prop_assert_eq!(device["userAgent"].as_str(), kept.as_deref());
                prop_assert_eq!(device["name"].as_str(), named.as_deref());
                seen.1 = true;
            }
        }
        prop_assert_eq!(seen, (true, true));
    }
}

fn configured(pairs: &[(&str, String)]) -> Config {
    let mut vars: HashMap<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    vars.insert("JWT_ACCESS_SECRET".to_owned(), ACCESS_SECRET.to_owned());
    vars.insert("JWT_REFRESH_SECRET".to_owned(), REFRESH_SECRET.to_owned());
    Config::parse(&vars).unwrap()
}

/// One character becomes another: what an attacker changes, or a line.
fn changed(token: &str, at: Index, into: char) -> String {
    let at = at.index(token.len());
    token.char_indices().map(|(place, c)| if place == at { into } else { c }).collect()
}

/// Of a signature's last character not every bit counts.
fn differs_in_a_bit_that_counts(one: &str, other: &str) -> bool {
    let but_last = |token: &str| token.char_indices().next_back().map(|(last, _)| token[..last].to_owned());
    but_last(one) != but_last(other)
}

#[test]
fn no_changed_token_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut sets = vec![configured(&[])];
    for algorithm in [JwtAlgorithm::EdDSA, JwtAlgorithm::ES256] {
        let file = folder.path().join(format!("{algorithm:?}.pem"));
        std::fs::write(&file, private_key_pem(algorithm).unwrap()).unwrap();
        let named = [
            ("JWT_ALGORITHM", format!("{algorithm:?}")),
            ("JWT_PRIVATE_KEY_FILE", file.display().to_string()),
        ];
        sets.push(configured(&named));
    }
    let now = Clock::System.now();
    let (user, session) = (UserId::new(new_uuid()), SessionId::new(new_uuid()));
    for config in sets {
        let access = AccessTokens::new(&config.tokens).unwrap();
        let refresh = RefreshTokens::new(&config.tokens);
        let tickets = Tickets::new(&config.tokens);
        let grant = Grant {
            user,
            role: Role::default(),
            session,
            token: SessionToken::new(new_uuid()),
            generation: 3,
            authentication: Authentication { at: now, methods: Methods::PASSWORD },
        };
        let good = access.sign(grant, now).unwrap();
        let current = Refresh { generation: 3, ..Refresh::first(now) };
        let renewing = refresh.sign(user, session, current).unwrap();
        let connecting = tickets.sign(user, session, SpentIn::Redis, now).unwrap();
        access.verify(good.expose(), now).unwrap();
        refresh.verify(renewing.expose(), now).unwrap();
        tickets.verify(connecting.expose(), now).unwrap();
        proptest!(|(at in any::<Index>(), into in any::<char>(), text in any::<String>())| {
            prop_assert!(access.verify(&text, now).is_err());
            prop_assert!(refresh.verify(&text, now).is_err());
            prop_assert!(tickets.verify(&text, now).is_err());
            let bad = changed(good.expose(), at, into);
            if differs_in_a_bit_that_counts(&bad, good.expose()) {
                prop_assert!(access.verify(&bad, now).is_err(), "{bad}");
            }
            let bad = changed(renewing.expose(), at, into);
            if differs_in_a_bit_that_counts(&bad, renewing.expose()) {
                prop_assert!(refresh.verify(&bad, now).is_err(), "{bad}");
            }
            let bad = changed(connecting.expose(), at, into);
            if differs_in_a_bit_that_counts(&bad, connecting.expose()) {
                prop_assert!(tickets.verify(&bad, now).is_err(), "{bad}");
            }
            // One is never the other.
            for other in [renewing.expose(), connecting.expose()] {
                prop_assert!(access.verify(other, now).is_err());
            }
            for other in [good.expose(), connecting.expose()] {
                prop_assert!(refresh.verify(other, now).is_err());
            }
            for other in [good.expose(), renewing.expose()] {
                prop_assert!(tickets.verify(other, now).is_err());
            }
        });
    }
}
