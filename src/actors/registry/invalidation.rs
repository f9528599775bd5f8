//! What other nodes changed, as far as it concerns users who are resident here.

use std::sync::atomic::Ordering;

use actix::{Handler, Message};

use super::{Registry, UserSlot};
use crate::actors::live_session::LiveSession;
use crate::actors::messages::{Disconnected, Wake};
use crate::actors::user_session::UserSession;
use crate::bus::internal::{self as peer, Activity, Ended, Invalidation, SignedChange};
use crate::bus::redis::subscriber::Listener;
use crate::domain::account_change::ChangedBy;
use crate::domain::event::{Ending, LedgerEvent};
use crate::domain::ids::UserId;
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::events::announcement::Announcer;
use crate::storage::changes::Change;

/// How long after its commit a message is believed, in ms. An older one is only a reason to read: an
/// attacker may have replayed it, and the database may have been restored since.
const MAX_MESSAGE_AGE_MS: u64 = 30_000;

fn ended_of(ending: &Ending) -> Ended {
    Ended { session: ending.session, reason: ending.reason.as_str().to_owned(), by: ending.by }
}

impl Registry {
    /// Another node has committed those versions of a user's sessions. True if that is news here that
    /// checks depend on; from now on requests no longer trust the snapshot, and the actor reads the
    /// ledger again when it is next asked.
    pub fn note_change(&self, change: &Change) -> bool {
        self.note(change.user, |slot| slot.require(change.version, change.check_version))
    }

    fn note(&self, user: UserId, is_news: impl FnOnce(&UserSlot) -> bool) -> bool {
        let Some(resident) = self.0.residents.get(&user) else { return false };
        let news = is_news(resident.slot());
        if news {
            resident.request_reload();
        }
        news
    }

    /// Hides that user's snapshot until the actor has read everything again: a signed token refers to
    /// something that is not in the snapshot yet.
    pub fn invalidate(&self, user: UserId) {
        if let Some(resident) = self.0.residents.get(&user) {
            resident.slot().invalidate();
        }
    }

    /// This node has committed a change of second factors without the user's actor, which reads the
    /// account again before its next command. Notifies the other nodes and wakes the publisher, without
    /// waiting.
    pub fn factors_changed(&self, user: UserId, version: i64, by: ChangedBy) {
        let now = self.clock().now();
        let announcements = Announcer::new(self.service_name(), user, now).factors_changed(by);
        let bus = &self.dependencies().bus;
        bus.notify_watchers(bus.announcements_for_watchers(self.store().keeps_events(), &announcements));
        self.committed_outside_actor(user, version, &[], now);
    }

    /// The same for a commit that ended sessions, which are counted.
    pub(in crate::actors) fn committed_outside_actor(
        &self,
        user: UserId,
        version: i64,
        endings: &[Ending],
        now: Timestamp,
    ) {
        self.note(user, |slot| slot.doubt(version));
        self.0.dependencies.bus.invalidate(&Invalidation {
            node: self.0.node,
            user,
            version,
            ended: endings.iter().map(|ending| ending.session).collect(),
            at: now.millis(),
            change: None,
        });
        self.signal_outbox(user);
        self.signal_mail();
        for ending in endings {
            self.metrics().sessions_ended.with_label_values(&[ending.reason.as_str()]).inc();
        }
    }

    /// Has the user's actor read its sessions again, if it has devices to notify.
    pub(in crate::actors) fn request_reload(&self, user: UserId) {
        if let Some(resident) = self.0.residents.get(&user) {
            resident.request_reload();
        }
    }

    /// The alarm of the user's actor rings, even if that actor rests.
    pub(in crate::actors) fn wake(&self, user: UserId) {
        if self.tell(user, Wake) {
            return;
        }
        if let Some(mut resident) = self.0.residents.get_mut(&user) {
            self.wake_actor(user, &mut resident);
            if let Some(address) = resident.address() {
                address.do_send(Wake);
            }
        }
    }

    /// A connection of one of the user's devices to this node was closed.
    pub fn disconnected(&self, user: UserId) {
        self.tell(user, Disconnected);
    }

    /// Sends a message to the user's actor. False if the user has no running actor.
    fn tell<M>(&self, user: UserId, message: M) -> bool
    where
        M: Message<Result = ()> + Send + 'static,
        UserSession: Handler<M>,
    {
        let resident = self.0.residents.get(&user);
        let address = resident.as_ref().and_then(|resident| resident.address());
        address.map(|address| address.do_send(message)).is_some()
    }

    /// Must be called before changes from the feed are applied.
    pub(in crate::actors) fn note_news(&self) {
        self.0.news.fetch_add(1, Ordering::AcqRel);
    }

    /// A count that goes up whenever the feed of changes reports something. To make a user resident with
    /// a ledger that was just stored, read it before storing: news in between may have been about that
    /// user, who was not resident to receive it.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.0.news.load(Ordering::Acquire)
    }

    /// Invalidates everything in memory: every resident is read again when next asked for.
    pub fn invalidate_all(&self) {
        for resident in &self.0.residents {
            resident.slot().invalidate();
            resident.request_reload();
        }
    }
}

impl Registry {
    /// Notifies the other nodes of a commit. If it only ended sessions they need not read it.
    pub(super) fn tell_nodes(&self, ledger: &Ledger, events: &[LedgerEvent], now: Timestamp) {
        let ended: Vec<_> = events.iter().filter_map(LedgerEvent::ending).collect();
        // Anything else that happened must be read.
        let only_ended = events.iter().all(|event| {
            let kinds = (LedgerEvent::ending(event), event);
            matches!(kinds, (Some(_), _) | (_, LedgerEvent::BulkTerminated { .. } | LedgerEvent::Mailed(_)))
        });
        let change = (!ended.is_empty() && only_ended).then(|| peer::Change {
            user: ledger.user,
            version: ledger.version,
            check_version: ledger.check_version(),
            ended: ended.iter().map(|ending| ended_of(ending)).collect(),
            at: now.millis(),
        });
        self.0.dependencies.bus.invalidate(&Invalidation {
            node: self.0.node,
            user: ledger.user,
            version: ledger.version,
            ended: ended.iter().map(|ending| ending.session).collect(),
            at: now.millis(),
            change: change.and_then(|change| self.signed(&change)),
        });
    }

    fn signed(&self, change: &peer::Change) -> Option<SignedChange> {
        let text = serde_json::to_string(change).ok()?;
        Some(SignedChange { tag: self.0.dependencies.peer_key.tag(&text), text })
    }

    /// The change that a message carries, if a node signed it for that user recently, and this version
    /// understands all of it.
    fn believed(&self, message: &Invalidation) -> Option<(peer::Change, Vec<RememberedEnding>)> {
        let SignedChange { text, tag } = message.change.as_ref()?;
        if !self.0.dependencies.peer_key.verifies(text, tag) {
            return None;
        }
        let change: peer::Change = serde_json::from_str(text).ok()?;
        let age = self.clock().now().millis().abs_diff(change.at);
        let ending = |ended: &Ended| {
            let reason = EndReason::parse(&ended.reason)?;
            Some(RememberedEnding { session: ended.session, reason, by: ended.by })
        };
        let endings: Option<Vec<_>> = change.ended.iter().map(ending).collect();
        let is_believed = change.user == message.user && age <= MAX_MESSAGE_AGE_MS;
        endings.filter(|_| is_believed).map(|endings| (change, endings))
    }

    /// Notifies the other nodes that a session was active.
    pub(in crate::actors) fn tell_activity(&self, session: &LiveSession, at: Timestamp, told: bool) {
        self.0.dependencies.bus.tell_activity(|| Activity {
            node: self.0.node,
            user: session.user,
            session: session.id(),
            active_at: at.millis(),
            told,
        });
    }
}

impl Listener for Registry {
    fn invalidated(&self, invalidation: &Invalidation) {
        let is_news = match self.believed(invalidation) {
            _ if invalidation.node == self.0.node => false,
            Some((change, endings)) => {
                self.note(change.user, |slot| slot.apply(change.version, change.check_version, &endings))
            }
            None => self.note(invalidation.user, |slot| slot.doubt(invalidation.version)),
        };
        if !is_news {
            return;
        }
        let took = Timestamp::from_millis(invalidation.at).until(self.clock().now());
        if !invalidation.ended.is_empty() {
            let histogram = self.metrics().revocation_propagation.with_label_values(&["redis"]);
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Limited to this node's time: neither a node with a fast clock nor a stranger can show activity in
    /// the future.
    fn active(&self, activity: &Activity) {
        if activity.node == self.0.node {
            return;
        }
        let snapshot = self.0.residents.get(&activity.user).and_then(|resident| resident.slot().snapshot());
        let at = Timestamp::from_millis(activity.active_at).min(self.clock().now());
        if let Some(live) = snapshot.as_ref().and_then(|shown| shown.find(activity.session)) {
            live.hear(at, activity.told);
        }
    }
}
