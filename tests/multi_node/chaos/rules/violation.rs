//! A broken rule, and the part of the history that shows it.

use std::collections::BTreeSet;

use crate::multi_node::chaos::history::{Act, Entry};

/// Most lines reported.
const LINES: usize = 30;
/// How much of what happened before is reported too.
const BEFORE_MS: i64 = 2_500;

#[derive(Debug)]
pub(crate) struct Violation {
    rule: &'static str,
    what: String,
    /// The entries that contradict each other.
    entries: Vec<Entry>,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, what: what.into(), entries: Vec::new() }
    }

    pub(crate) fn by<'a>(mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        self.entries = entries.into_iter().cloned().collect();
        self
    }

    /// The rule, and what was going on: the entries themselves, other entries of their sessions, and the
    /// faults.
    pub(crate) fn told(&self, history: &[Entry]) -> String {
        let sessions: BTreeSet<_> = self.entries.iter().map(|entry| entry.session.as_str()).collect();
        let from = self.entries.iter().map(|entry| entry.from).min().unwrap_or_default() - BEFORE_MS;
        let until = self.entries.iter().map(|entry| entry.until).max().unwrap_or_default();
        let concerns = |entry: &&Entry| {
            let targets = matches!(&entry.act, Act::End(target) if sessions.contains(target.as_str()));
            let evicts = entry.evicted().any(|evicted| sessions.contains(evicted));
            let fault = matches!(entry.act, Act::Fault(_));
            entry.from <= until
                && entry.until >= from
                && (fault || targets || evicts || sessions.contains(entry.session.as_str()))
        };
        let concerned: Vec<_> = history.iter().filter(concerns).collect();
        // The entries themselves and the faults, whatever else must be left out; of the rest the latest.
        let (needed, rest): (Vec<_>, Vec<_>) =
            concerned.into_iter().partition(|entry| self.is_one(entry) || matches!(entry.act, Act::Fault(_)));
        let room = LINES.saturating_sub(needed.len());
        let mut told = [&needed[..], &rest[rest.len().saturating_sub(room)..]].concat();
        told.sort_by_key(|entry| entry.from);
        let lines: Vec<_> = told.iter().map(|entry| self.line(entry)).collect();
        format!("{} is broken: {}\n{}", self.rule, self.what, lines.join("\n"))
    }

    fn is_one(&self, entry: &Entry) -> bool {
        let same =
            |one: &Entry| one.from == entry.from && one.act == entry.act && one.session == entry.session;
        self.entries.iter().any(same)
    }

    fn line(&self, entry: &Entry) -> String {
        let mark = if self.is_one(entry) { "->" } else { "  " };
        format!("{mark} {entry}")
    }
}
