//! Whose tries are counted: how they are distinguished, and what may be logged about them.

use std::net::IpAddr;

use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::telemetry::audit::Subject;
use crate::telemetry::pseudonyms::Pseudonyms;

/// Whose wrong codes are counted.
#[derive(Clone, Copy, Debug)]
pub enum Guesser {
    /// A user's: codes of an app, which need the password first.
    User(UserId),
    /// A client's: codes of mails, since anybody may ask for those of any address.
    Client(Option<IpAddr>),
}

impl Guesser {
    pub(super) fn whom(self) -> Whom<'static> {
        match self {
            Self::User(user) => Whom::User(user),
            Self::Client(address) => Whom::Address(address),
        }
    }
}

/// Whose tries are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom<'a> {
    /// Those of a client.
    Address(Option<IpAddr>),
    /// Those of a client with an account.
    Account(&'a str, Option<IpAddr>),
    /// Those of a session.
    Session(SessionId),
    /// Those of a user.
    User(UserId),
    /// Those of an API key, by its id.
    ApiKey(&'a str),
}

impl Whom<'_> {
    /// A text that distinguishes it from others.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Address(address) => network_of(*address),
            Self::Account(email, address) => format!("{} {email}", network_of(*address)),
            Self::Session(session) => session.to_string(),
            Self::User(user) => user.to_string(),
            Self::ApiKey(id) => format!("key {id}"),
        }
    }

    /// The form in the log. Every log line of the request already has the client's network.
    pub(super) fn subject(&self, pseudonyms: &Pseudonyms, now: Timestamp) -> Subject<'_> {
        match self {
            Self::Address(_) => Subject::Unknown,
            Self::ApiKey(id) => Subject::ApiKey(id),
            Self::Account(email, _) => Subject::Account(pseudonyms.account(email, now)),
            Self::Session(session) => Subject::Session(*session),
            Self::User(user) => Subject::User(*user),
        }
    }
}

/// An IPv6 client can use a network of 2^64 addresses, so the network counts and not the address.
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
