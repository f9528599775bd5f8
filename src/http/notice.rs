//! Mails that notify a person of what happened to the account: when, on which device, from which address.
//! They contain nothing to click.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::extract::client::Client;
use super::state::AppState;
use crate::clock::new_uuid;
use crate::config::Feature;
use crate::domain::command::Notice;
use crate::domain::device::DeviceInfo;
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, MailTo, NOTICE_GOOD_FOR, NewMail, readable};
use crate::domain::time::Timestamp;

/// The mail to that account; `None` if mail is off.
pub(super) fn notice(state: &AppState, client: &Client, kind: MailKind, user: UserId) -> Option<NewMail> {
    notice_to(state, client, kind, MailTo::User(user))
}

/// The mail to that address; `None` if mail is off.
pub(super) fn notice_to(state: &AppState, client: &Client, kind: MailKind, to: MailTo) -> Option<NewMail> {
    let ip = state.config.http.addresses.of(client.address);
    state.config.has(Feature::Mail).then(|| made(kind, to, client, ip, state.now()))
}

/// The mail about a second factor that was added or removed.
pub(super) fn factor_notice(
    state: &AppState,
    client: &Client,
    kind: MailKind,
    user: UserId,
    factor: &str,
) -> Option<NewMail> {
    let mut mail = notice(state, client, kind, user)?;
    mail.values.insert("factor".to_owned(), json!(factor));
    Some(mail)
}

/// The mail to send if this request reuses an old refresh token; `None` if mail is off.
pub(super) fn theft_notice(state: &AppState, client: &Client, user: UserId) -> Option<Notice> {
    let (client, now, ip) = (client.clone(), state.now(), state.config.http.addresses.of(client.address));
    let make = move || made(MailKind::SessionTheft, MailTo::User(user), &client, ip, now);
    state.config.has(Feature::Mail).then(|| Notice::new(make))
}

fn made(kind: MailKind, to: MailTo, client: &Client, ip: Option<IpAddr>, now: Timestamp) -> NewMail {
    NewMail {
        id: new_uuid(),
        kind,
        to,
        locale: None,
        values: told(client, ip, now),
        request: None,
        useful_until: now.plus(NOTICE_GOOD_FOR),
    }
}

fn told(client: &Client, ip: Option<IpAddr>, now: Timestamp) -> Map<String, Value> {
    let device = DeviceInfo::from_user_agent(client.user_agent.as_deref(), None);
    let device = match (device.browser, device.os) {
        (Some(browser), Some(os)) => format!("{browser}, {os}"),
        (Some(one), None) | (None, Some(one)) => one.into(),
        (None, None) => String::new(),
    };
    let ip = ip.map(|address| address.to_string()).unwrap_or_default();
    [("when", json!(readable(now))), ("device", json!(device)), ("ip", json!(ip))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The address masked so that only its owner recognises it: `a…@example.com`.
pub(super) fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}…@{domain}", local.chars().take(1).collect::<String>()),
        None => "…".to_owned(),
    }
}
