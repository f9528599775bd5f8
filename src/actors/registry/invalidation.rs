//! What other nodes did, as far as it concerns users who are here.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use actix::{Handler, Message};

use super::Registry;
use crate::actors::messages::{Disconnected, Wake};
use crate::actors::snapshot::LiveSession;
use crate::actors::user_session::UserSession;
use crate::bus::internal::{Activity, Invalidation, SHARDS, shard_of};
use crate::bus::redis::subscriber::Listener;
use crate::domain::event::Ending;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

impl Registry {
    /// Another node has committed that version of a user's sessions. True if it was news here; from now on requests
    /// no longer trust what was shown, and the actor reads it again when it is next asked.
    pub fn outdate(&self, user: UserId, version: i64) -> bool {
        let Some(resident) = self.0.residents.get(&user) else { return false };
        let news = resident.slot().require(version);
        if news {
            resident.request_reload();
        }
        news
    }

    /// Shows nothing of that user until the actor has read everything again: a signed token tells of what is not shown yet.
    pub fn invalidate(&self, user: UserId) {
        if let Some(resident) = self.0.residents.get(&user) {
            resident.slot().invalidate();
        }
    }

    /// This node has committed that version of an account otherwise than by the user's actor: it reads the account again before
    /// it is next asked, the other nodes are told, and the publisher is woken. Waits for nothing.
    pub fn account_changed(&self, user: UserId, version: i64) {
        self.committed_beside(user, version, &[], self.clock().now());
    }

    /// The same where sessions ended with it, which are counted.
    pub(in crate::actors) fn committed_beside(
        &self,
        user: UserId,
        version: i64,
        endings: &[Ending],
        now: Timestamp,
    ) {
        self.outdate(user, version);
        self.0.dependencies.bus.invalidate(&Invalidation {
            node: self.0.node,
            user,
            version,
            ended: endings.iter().map(|ending| ending.session).collect(),
            at: now.millis(),
        });
        self.signal_outbox(user);
        for ending in endings {
            self.metrics().sessions_ended.with_label_values(&[ending.reason.as_str()]).inc();
        }
    }

    /// Has the user's actor look at its sessions again, if it has devices to tell.
    pub(in crate::actors) fn request_reload(&self, user: UserId) {
        if let Some(resident) = self.0.residents.get(&user) {
            resident.request_reload();
        }
    }

    /// The alarm of the user's actor rings, also where that one rests.
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

    /// A connection of one of the user's devices to this node is gone.
    pub fn disconnected(&self, user: UserId) {
        self.tell(user, Disconnected);
    }

    /// Tells the user's actor, unless it rests or there is none.
    fn tell<M>(&self, user: UserId, message: M) -> bool
    where
        M: Message<Result = ()> + Send + 'static,
        UserSession: Handler<M>,
    {
        let resident = self.0.residents.get(&user);
        let address = resident.as_ref().and_then(|resident| resident.address());
        address.map(|address| address.do_send(message)).is_some()
    }

    /// What the feed of changes has told is about to be noted.
    pub(in crate::actors) fn note_news(&self) {
        self.0.news.fetch_add(1, Ordering::AcqRel);
    }

    /// Goes up whenever the feed of changes tells something. Who makes a user resident with what was stored before
    /// looks at it before storing: news in between may have been about that user, and found nobody to tell.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.0.news.load(Ordering::Acquire)
    }

    /// Trusts nothing that is remembered: every user here is read again when next asked for.
    pub fn distrust_all(&self) {
        for resident in &self.0.residents {
            resident.slot().invalidate();
            resident.request_reload();
        }
    }

    /// A user is no longer here.
    pub(super) fn left(&self, user: UserId) {
        self.0.shards[shard_of(user)].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Registry {
    /// Tells the other nodes that a session was active.
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
    fn shards(&self) -> BTreeSet<usize> {
        (0..SHARDS).filter(|shard| self.0.shards[*shard].load(Ordering::Relaxed) > 0).collect()
    }

    fn invalidated(&self, invalidation: &Invalidation) {
        if invalidation.node == self.0.node || !self.outdate(invalidation.user, invalidation.version) {
            return;
        }
        let took = Timestamp::from_millis(invalidation.at).until(self.clock().now());
        if !invalidation.ended.is_empty() {
            let histogram = self.metrics().revocation_propagation.with_label_values(&["redis"]);
            histogram.observe(took.as_secs_f64());
        }
    }

    /// A node's clock that is ahead, or a stranger, must not show what has not been.
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
