//! Whose tries are counted: what tells one from another, and what may be told of them.

use std::net::IpAddr;

use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::telemetry::audit::Subject;
use crate::telemetry::pseudonyms::Pseudonyms;

/// Whom wrong codes of mails are counted for: the client, since anybody may ask for codes of any address.
pub fn client_key(address: Option<IpAddr>) -> String {
    format!("client {}", network_of(address))
}

/// Whose tries are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom<'a> {
    /// A client's.
    Address(Option<IpAddr>),
    /// A client's with an account.
    Account(&'a str, Option<IpAddr>),
    /// A session's.
    Session(SessionId),
    /// A user's.
    User(UserId),
    /// An API key's, by its id.
    ApiKey(&'a str),
    /// Somebody's whom the caller names.
    Named(&'a str),
}

impl Whom<'_> {
    /// Tells one from another.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Address(address) => network_of(*address),
            Self::Account(email, address) => format!("{} {email}", network_of(*address)),
            Self::Session(session) => session.to_string(),
            Self::User(user) => user.to_string(),
            Self::ApiKey(id) => format!("key {id}"),
            Self::Named(name) => (*name).to_owned(),
        }
    }

    /// The form in the log. The client's network is in each line of its request.
    pub(super) fn subject(&self, pseudonyms: &Pseudonyms, now: Timestamp) -> Subject<'_> {
        match self {
            Self::Address(_) | Self::Named(_) => Subject::Unknown,
            Self::ApiKey(id) => Subject::ApiKey(id),
            Self::Account(email, _) => Subject::Account(pseudonyms.account(email, now)),
            Self::Session(session) => Subject::Session(*session),
            Self::User(user) => Subject::User(*user),
        }
    }
}

/// An IPv6 client has a network of 2^64 addresses to try from, so the network counts and not the address.
fn network_of(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(IpAddr::V4(address)) => address.to_string(),
        None => String::new(),
    }
}
