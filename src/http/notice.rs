//! Mails that tell a person what happened to the account: when, on which device, from which address. Nothing in them to click.

use serde_json::{Map, Value, json};

use super::extract::client::Client;
use super::state::AppState;
use crate::clock::new_uuid;
use crate::config::Feature;
use crate::domain::device::DeviceInfo;
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, MailTo, NOTICE_GOOD_FOR, NewMail};

/// The mail to that account; none where mail is off.
pub(super) fn notice(state: &AppState, client: &Client, kind: MailKind, user: UserId) -> Option<NewMail> {
    notice_to(state, client, kind, MailTo::User(user))
}

/// The mail to that address; none where mail is off.
pub(super) fn notice_to(state: &AppState, client: &Client, kind: MailKind, to: MailTo) -> Option<NewMail> {
    state.config.has(Feature::Mail).then(|| NewMail {
        id: new_uuid(),
        kind,
        to,
        locale: None,
        values: told(state, client),
        request: None,
        useful_until: state.now().plus(NOTICE_GOOD_FOR),
    })
}

fn told(state: &AppState, client: &Client) -> Map<String, Value> {
    let device = DeviceInfo::from_user_agent(client.user_agent.as_deref(), None);
    let device = match (device.browser, device.os) {
        (Some(browser), Some(os)) => format!("{browser}, {os}"),
        (Some(one), None) | (None, Some(one)) => one.into(),
        (None, None) => String::new(),
    };
    let ip = client.address.map(|address| address.to_string()).unwrap_or_default();
    let when = state.now().to_string();
    let when = format!("{} UTC", when.get(..16).unwrap_or(&when).replace('T', " "));
    [("when", json!(when)), ("device", json!(device)), ("ip", json!(ip))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// As much of an address as its owner recognises: `a…@example.com`.
pub(super) fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}…@{domain}", local.chars().take(1).collect::<String>()),
        None => "…".to_owned(),
    }
}
