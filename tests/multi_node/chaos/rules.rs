//! The session rules of the contract (section 2), checked against what was answered, stored and published.
//!
//! A request is judged later than it was sent, so accepting it is wrong only if it was sent too late; a
//! refusal is made before it arrives. So a slow machine never looks like a broken rule.

mod stored;
mod violation;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::history::{Act, Entry};
pub(super) use stored::Stored;
pub(super) use violation::Violation;

pub(super) const LIMIT: usize = 3;
pub(super) const TIMEOUT_MS: i64 = 3_000;
/// Twice the default, because a machine that is busy with other tests may stall a node for a while.
pub(super) const FLUSH_MS: i64 = 2_000;
/// `REVOCATION_MAX_STALENESS_MS`, and the rounding of clocks.
const STALENESS_MS: i64 = 1_000 + 2;
/// How long a fault can continue to keep a node from writing activity: broken connections are discovered
/// one by one.
const AFTERMATH_MS: i64 = 3_000;

/// Counts live sessions repeatedly, as long as it is polled; records the highest count of any user.
pub(super) async fn sample(watcher: &DatabaseConnection, most: &Cell<i64>) -> Infallible {
    const MOST: &str = "SELECT coalesce(max(live), 0) FROM \
        (SELECT count(*) AS live FROM sessions WHERE ended_at IS NULL GROUP BY user_id) AS users";
    loop {
        let statement = Statement::from_string(DbBackend::Postgres, MOST);
        let row = watcher.query_one_raw(statement).await.unwrap().unwrap();
        most.set(most.get().max(row.try_get_by_index(0).unwrap()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn check(history: &[Entry], stored: &Stored, most: i64, healed_at: i64) -> Result<(), Violation> {
    if most > LIMIT as i64 {
        return Err(Violation::new(
            "rule 2",
            format!("{most} live sessions of one user were stored at once"),
        ));
    }
    // Rule 6: in the end every node answers for every session.
    let mut last = BTreeMap::new();
    for entry in history.iter().filter(|entry| entry.from >= healed_at) {
        last.insert((&entry.session, entry.node), entry);
    }
    if let Some(entry) = last.into_values().find(|entry| entry.is_unknown()) {
        return Err(Violation::new("rule 6", "no answer though everything is whole").by([entry]));
    }
    let mut stories: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in history.iter().filter(|entry| !entry.session.is_empty()) {
        stories.entry(&entry.session).or_default().push(entry);
    }
    for (session, entries) in stories {
        let opened = entries.iter().find(|entry| entry.is_login()).expect("it was opened by a login");
        let story = Story { session, opened, entries: &entries, history };
        story.accepted_only_while_live()?;
        story.accepted_only_before_the_deadline()?;
        story.refused_only_for_a_reason()?;
        story.ended_only_when_idle(stored)?;
        stored.check_story(session, opened, &story.endings())?;
    }
    stored.check_times()?;
    stored.check_events()
}

/// One session.
struct Story<'a> {
    session: &'a str,
    opened: &'a Entry,
    /// What was done with it.
    entries: &'a [&'a Entry],
    /// Everything else.
    history: &'a [Entry],
}

/// An answer which shows that the session is over.
struct Ending<'a> {
    entry: &'a Entry,
    /// The reason that must be stored, if the answer shows it.
    reason: Option<&'static str>,
}

impl<'a> Story<'a> {
    /// What others of the same person did.
    fn by_others(&self) -> impl Iterator<Item = &'a Entry> {
        let (person, session) = (self.opened.person, self.session);
        self.history.iter().filter(move |entry| entry.person == person && entry.session != session)
    }

    fn endings(&self) -> Vec<Ending<'a>> {
        let own = self.entries.iter().filter_map(|entry| match (&entry.act, entry.refusal()) {
            (Act::LogOut, None) => entry.done().map(|_| Ending { entry, reason: Some("logout") }),
            (_, Some(code)) => is_over(code).then_some(Ending { entry, reason: None }),
            _ => None,
        });
        let others = self.by_others().filter_map(|entry| {
            entry.done()?;
            match &entry.act {
                Act::End(target) if target == self.session => {
                    Some(Ending { entry, reason: Some("terminated") })
                }
                // Sessions opened before this request are over, for this reason or an earlier one.
                Act::EndOthers if self.opened.until < entry.from => Some(Ending { entry, reason: None }),
                _ => {
                    let evicted = entry.evicted().any(|evicted| evicted == self.session);
                    evicted.then_some(Ending { entry, reason: Some("evicted") })
                }
            }
        });
        own.chain(others).collect()
    }

    /// Rule 5, and rule 4 for changes, which never depend on what a node has in memory.
    fn accepted_only_while_live(&self) -> Result<(), Violation> {
        let endings = self.endings();
        for accepted in self.entries.iter().filter(|entry| entry.done().is_some()) {
            for Ending { entry: ended, .. } in &endings {
                let changes = !matches!(accepted.act, Act::Look | Act::BeActive);
                let allowed = if changes || accepted.node == ended.node { 0 } else { STALENESS_MS };
                if accepted.from > ended.until + allowed {
                    let late = accepted.from - ended.until;
                    let what =
                        format!("accepted {late} ms after its end was answered, {allowed} ms are allowed");
                    return Err(Violation::new("rule 5", what).by([*ended, *accepted]));
                }
            }
        }
        Ok(())
    }

    /// Rules 1 and 3: nothing is accepted later than the deadline after the latest activity there can
    /// have been.
    fn accepted_only_before_the_deadline(&self) -> Result<(), Violation> {
        let expires_at = self.opened.expires_at().unwrap();
        for accepted in self.entries.iter().filter(|entry| entry.done().is_some() && !entry.is_login()) {
            let before = self.entries.iter().filter(|entry| entry.from <= accepted.until);
            let latest = before.clone().filter_map(|entry| entry.moved_to()).max().unwrap_or_default();
            // Activity without an answer may have arrived at any time.
            let unknown = before.clone().any(|entry| entry.act == Act::BeActive && entry.is_unknown());
            let deadline = if unknown { expires_at } else { expires_at.min(latest + TIMEOUT_MS) };
            if accepted.from > deadline {
                let what = format!("accepted {} ms after its deadline", accepted.from - deadline);
                return Err(Violation::new("rule 1", what).by([*accepted]));
            }
        }
        Ok(())
    }

    /// Rules 1, 3, 4 and 6: a session ends for a reason, and each reason has a corresponding act.
    fn refused_only_for_a_reason(&self) -> Result<(), Violation> {
        for refused in self.entries {
            let Some(code) = refused.refusal() else { continue };
            let before = |entry: &&Entry| entry.from <= refused.until;
            let own =
                |wanted: &dyn Fn(&Entry) -> bool| self.entries.iter().copied().filter(before).any(wanted);
            let others = |wanted: &dyn Fn(&Entry) -> bool| self.by_others().filter(before).any(wanted);
            let explained = match code {
                // The target of a request, not the session the request was made with.
                "session_not_found" => matches!(refused.act, Act::End(_)),
                "session_logged_out" => own(&|entry| entry.act == Act::LogOut),
                "session_evicted" => others(&Entry::is_login),
                "session_terminated" => others(&|entry| match &entry.act {
                    Act::End(target) => target == self.session,
                    act => *act == Act::EndOthers,
                }),
                "refresh_token_reused" => {
                    own(&|entry| entry.act == Act::Steal || self.may_come_as_reuse(entry, refused))
                }
                "session_expired" => refused.until >= self.opened.expires_at().unwrap(),
                "session_idle_timeout" => refused.until >= self.earliest_deadline(refused.from),
                _ => false,
            };
            if !explained {
                return Err(Violation::new("rules 1, 3, 4", format!("{code} without cause")).by([*refused]));
            }
        }
        Ok(())
    }

    /// Whether a frozen node may have carried out the lost refresh so late that its token was two
    /// generations old. A device that lost an answer, and presents the same token again, never gets into
    /// this situation.
    fn may_come_as_reuse(&self, lost: &Entry, refused: &Entry) -> bool {
        let newer = self.entries.iter().filter(|entry| {
            entry.act == Act::Refresh
                && entry.done().is_some()
                && entry.until > lost.from
                && entry.from <= refused.until
        });
        lost.act == Act::Refresh && lost.is_unknown() && newer.count() >= 2
    }

    /// Rule 3, as stored: activity that was answered counts.
    fn ended_only_when_idle(&self, stored: &Stored) -> Result<(), Violation> {
        let Some(row) = stored.find(self.session) else { return Ok(()) };
        let Some(ended) = row.ended_at.filter(|_| row.end_reason.as_deref() == Some("idle_timeout")) else {
            return Ok(());
        };
        let deadline = self.earliest_deadline(ended);
        if ended < deadline {
            let what = format!("ended as idle {} ms before its deadline", deadline - ended);
            return Err(Violation::new("rule 3", what).by(self.entries.iter().copied()));
        }
        Ok(())
    }

    /// The idle deadline, counting all activity that was answered before then and cannot have been lost.
    fn earliest_deadline(&self, before: i64) -> i64 {
        let answered = self.entries.iter().filter(|entry| entry.until <= before);
        let safe = answered.filter(|entry| entry.is_login() || !self.is_at_risk(entry));
        safe.filter_map(|entry| entry.moved_to()).max().unwrap_or_default() + TIMEOUT_MS
    }

    /// Whether a fault may have kept its node from writing it.
    fn is_at_risk(&self, active: &Entry) -> bool {
        self.history.iter().any(|fault| {
            let keeps_from_writing = matches!(
                fault.act,
                Act::Fault("killed" | "frozen" | "without the database" | "without the database and Redis")
            );
            keeps_from_writing
                && fault.node == active.node
                && fault.from <= active.until + FLUSH_MS
                && fault.until + AFTERMATH_MS >= active.from
        })
    }
}

fn is_over(code: &str) -> bool {
    code == "refresh_token_reused" || (code.starts_with("session_") && code != "session_not_found")
}
