//! What was tried, when, where, and with which outcome.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::support::Answer;
use crate::support::time::{millis_of, unix_millis};

/// What somebody tried, or a fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    SignUp,
    LogIn,
    Look,
    BeActive,
    Refresh,
    LogOut,
    /// Ends another session of the same person.
    End(String),
    EndOthers,
    /// Presents a refresh token that is two generations old.
    Steal,
    Fault(&'static str),
}

/// The outcome, as far as the answer shows it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Done(Value),
    /// The code of the problem.
    Refused(String),
    /// No answer, or one that leaves the outcome open.
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// When it was sent, and when it was answered, in ms since 1970.
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) node: usize,
    pub(super) person: usize,
    /// The session it was done with, or that it opened; empty if it concerned no session.
    pub(super) session: String,
    pub(super) act: Act,
    pub(super) outcome: Outcome,
}

impl Entry {
    /// The answer, if it was done.
    pub(super) fn done(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Done(answer) => Some(answer),
            Outcome::Refused(_) | Outcome::Unknown(_) => None,
        }
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Refused(code) => Some(code),
            Outcome::Done(_) | Outcome::Unknown(_) => None,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown(_))
    }

    pub(super) fn is_login(&self) -> bool {
        matches!(self.act, Act::SignUp | Act::LogIn)
    }

    /// The latest activity that an answer to a login or to activity contains.
    pub(super) fn moved_to(&self) -> Option<i64> {
        let answer = self.done()?;
        match self.act {
            Act::SignUp | Act::LogIn => Some(millis_of(&answer["session"]["lastActivity"])),
            Act::BeActive => Some(millis_of(&answer["lastActivity"])),
            _ => None,
        }
    }

    /// When a login's session ends regardless of activity.
    pub(super) fn expires_at(&self) -> Option<i64> {
        let answer = self.done().filter(|_| self.is_login())?;
        Some(millis_of(&answer["session"]["expiresAt"]))
    }

    /// The sessions that were evicted to make room for a login.
    pub(super) fn evicted(&self) -> impl Iterator<Item = &str> {
        let evicted = self.done().and_then(|answer| answer["evictedSessionIds"].as_array());
        evicted.into_iter().flatten().filter_map(Value::as_str)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until, node, person, session, act, outcome } = self;
        if let Act::Fault(fault) = act {
            let node = if *node == usize::MAX { String::new() } else { format!("node {node}: ") };
            return write!(f, "{from} +{:<5} {node}{fault}", until - from);
        }
        let outcome = match outcome {
            Outcome::Done(answer) => match self.moved_to() {
                Some(at) => format!("done, last activity {at}"),
                None => format!("done {}", answer.as_str().unwrap_or_default()),
            },
            Outcome::Refused(code) => code.clone(),
            Outcome::Unknown(why) => format!("unknown: {why}"),
        };
        write!(f, "{from} +{:<5} node {node}: person {person}, {session}: {act:?} -> {outcome}", until - from)
    }
}

/// Grows while people act; all of them are on one thread.
#[derive(Default)]
pub(super) struct History(RefCell<Vec<Entry>>);

impl History {
    /// Tries something, and records the outcome.
    pub(super) async fn record(
        &self,
        (person, node): (usize, usize),
        session: &str,
        act: Act,
        trying: impl Future<Output = reqwest::Result<Answer>>,
    ) -> Entry {
        let from = unix_millis();
        let answer = trying.await;
        let until = unix_millis();
        let outcome = match answer {
            Ok(answer) if answer.status < 300 => Outcome::Done(answer.json),
            Ok(answer) if answer.status == 503 => Outcome::Unknown(answer.code().to_owned()),
            Ok(answer) => Outcome::Refused(answer.code().to_owned()),
            Err(cause) if cause.is_timeout() => Outcome::Unknown("no answer".to_owned()),
            Err(_) => Outcome::Unknown("the line broke".to_owned()),
        };
        let mut session = session.to_owned();
        if let (Act::SignUp | Act::LogIn, Outcome::Done(answer)) = (&act, &outcome) {
            answer["session"]["id"].as_str().unwrap().clone_into(&mut session);
        }
        let entry = Entry { from, until, node, person, session, act, outcome };
        self.0.borrow_mut().push(entry.clone());
        entry
    }

    /// Records a fault that is over now.
    pub(super) fn fault(&self, node: usize, fault: &'static str, from: i64) {
        self.0.borrow_mut().push(Entry {
            from,
            until: unix_millis(),
            node,
            person: usize::MAX,
            session: String::new(),
            act: Act::Fault(fault),
            outcome: Outcome::Done(Value::Null),
        });
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        let mut entries = self.0.into_inner();
        entries.sort_by_key(|entry| entry.from);
        entries
    }
}

/// How often each thing happened.
pub(super) fn summary(entries: &[Entry]) -> String {
    let mut faults = BTreeMap::new();
    for entry in entries {
        if let Act::Fault(fault) = entry.act {
            *faults.entry(fault).or_insert(0) += 1;
        }
    }
    let count = |wanted: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).count();
    format!(
        "{} requests ({} logins, {} refused, {} unknown) and {faults:?}",
        count(&|entry| entry.person != usize::MAX),
        count(&Entry::is_login),
        count(&|entry| entry.refusal().is_some()),
        count(&Entry::is_unknown),
    )
}
