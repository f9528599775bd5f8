//! The open connections of a user's devices. The user's actor notifies them of what happens, and waits
//! for none of them.
//!
//! Bound: [`QUEUE`] messages wait for a device; with one more it is dropped
//! (`auth_devices_dropped_total`). It will connect again and begin with a snapshot.

use std::collections::HashMap;

use futures_channel::mpsc::{self, Receiver, Sender};

use crate::domain::account::{Account, changes};
use crate::domain::ids::SessionId;
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::events::device_message::DeviceMessage;
use crate::events::session_view::SessionView;
use crate::telemetry::metrics::Metrics;

/// Messages that may wait for one device.
pub const QUEUE: usize = 32;

/// What is sent on a connection.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A message.
    Message(String),
    /// The device's own session is over: the last message, and the reason for closing.
    Last(String, EndReason),
}

/// The connection's receiving end of the queue.
pub type Deliveries = Receiver<Delivery>;

/// A queue for a new connection. It is nearly always empty, and then takes no memory, whereas tokio's
/// keeps a block of 32 slots, 1.3 KB, at all times.
#[must_use]
pub fn queue() -> (Sender<Delivery>, Deliveries) {
    // The sender has one more slot of its own.
    mpsc::channel(QUEUE - 1)
}

#[derive(Debug)]
struct Device {
    session: SessionId,
    queue: Sender<Delivery>,
}

/// The devices of one user, and what has been sent to them.
#[derive(Debug, Default)]
pub(super) struct Devices {
    connected: Vec<Device>,
    /// The sessions they know of.
    told: Vec<SessionId>,
    /// The account as they know it.
    account: Option<(Role, Account)>,
    /// Warned sessions, and the deadline that each was warned of.
    warned: HashMap<SessionId, Timestamp>,
}

impl Devices {
    /// Removes closed connections; returns how many are left.
    pub(super) fn prune(&mut self) -> usize {
        self.connected.retain(|device| !device.queue.is_closed());
        self.connected.len()
    }

    /// How many connections a session has.
    pub(super) fn of_session(&self, session: SessionId) -> usize {
        self.connected.iter().filter(|device| device.session == session).count()
    }

    /// Adds a connection. Its first message is a snapshot of the ledger; every later change follows it.
    pub(super) fn connect(
        &mut self,
        session: SessionId,
        mut queue: Sender<Delivery>,
        ledger: &Ledger,
        now: Timestamp,
    ) {
        let mut sessions: Vec<_> = ledger.live().iter().map(|live| view(live, session)).collect();
        sessions.sort_by_key(|view| std::cmp::Reverse(view.last_activity));
        let snapshot =
            DeviceMessage::Snapshot { session_id: session, sessions, current: true, timestamp: now };
        // A new queue has room.
        let _ = queue.try_send(Delivery::Message(snapshot.to_json()));
        if self.connected.is_empty() {
            self.told = ledger.live().iter().map(Session::id).collect();
            self.account = Some((ledger.role, ledger.account.clone()));
        }
        // The session's other devices were warned before this one connected.
        if let Some(own) = ledger.find(session).filter(|own| self.is_warned_of(own)) {
            let _ = queue.try_send(Delivery::Message(expiring(own, now).to_json()));
        }
        self.connected.push(Device { session, queue });
    }

    fn is_warned_of(&self, session: &Session) -> bool {
        self.warned.get(&session.id()).is_some_and(|warned| *warned >= session.idle_expires_at())
    }

    /// Sends every device what differs from what it knows: endings first, then opened sessions, then
    /// changes of the account.
    pub(super) fn tell_changes(&mut self, ledger: &Ledger, now: Timestamp, metrics: &Metrics) {
        if self.connected.is_empty() {
            return;
        }
        let told = std::mem::take(&mut self.told);
        for id in told.iter().filter(|id| ledger.find(**id).is_none()) {
            self.tell_ending(*id, ledger.remembered_ending(*id), now, metrics);
            self.warned.remove(id);
        }
        for session in ledger.live().iter().filter(|session| !told.contains(&session.id())) {
            self.tell_all(metrics, |receiver| {
                let current = receiver == session.id();
                let view = view(session, receiver);
                let session_id = session.id();
                DeviceMessage::Created { session_id, session: view, current, timestamp: now }.to_json()
            });
        }
        self.told = ledger.live().iter().map(Session::id).collect();
        self.tell_account(ledger, now, metrics);
    }

    fn tell_account(&mut self, ledger: &Ledger, now: Timestamp, metrics: &Metrics) {
        let changed = match &self.account {
            Some((role, account)) => changes((*role, account), (ledger.role, &ledger.account)),
            None => Vec::new(),
        };
        if !changed.is_empty() {
            self.tell_all(metrics, |session_id| {
                DeviceMessage::Updated { session_id, changed: &changed, current: true, timestamp: now }
                    .to_json()
            });
        }
        if self
            .account
            .as_ref()
            .is_none_or(|(role, account)| (*role, account) != (ledger.role, &ledger.account))
        {
            self.account = Some((ledger.role, ledger.account.clone()));
        }
    }

    /// Ends every connection, because the account was deleted.
    pub(super) fn tell_end_of_user(&mut self, now: Timestamp, metrics: &Metrics) {
        for session in std::mem::take(&mut self.told) {
            let ending = RememberedEnding { session, reason: EndReason::UserDeleted, by: None };
            self.tell_ending(session, Some(ending), now, metrics);
        }
    }

    fn tell_ending(
        &mut self,
        session_id: SessionId,
        ending: Option<RememberedEnding>,
        now: Timestamp,
        metrics: &Metrics,
    ) {
        let reason = ending.map_or(EndReason::Terminated, |ending| ending.reason);
        let message = |receiver: SessionId| {
            let current = receiver == session_id;
            if reason == EndReason::Terminated {
                let terminated_by_session_id = ending.and_then(|ending| ending.by);
                DeviceMessage::Terminated {
                    session_id,
                    reason,
                    terminated_by_session_id,
                    current,
                    timestamp: now,
                }
            } else {
                DeviceMessage::Deleted { session_id, reason, current, timestamp: now }
            }
            .to_json()
        };
        self.connected.retain_mut(|device| {
            if device.session == session_id {
                // Full or closed: the connection ends either way, because its queue does.
                let _ = device.queue.try_send(Delivery::Last(message(session_id), reason));
                return false;
            }
            deliver(device, message(device.session), metrics)
        });
    }

    fn tell_all(&mut self, metrics: &Metrics, message: impl Fn(SessionId) -> String) {
        self.connected.retain_mut(|device| deliver(device, message(device.session), metrics));
    }

    fn tell_session(&mut self, session: SessionId, metrics: &Metrics, message: &str) {
        self.connected
            .retain_mut(|device| device.session != session || deliver(device, message.to_owned(), metrics));
    }

    /// Warns sessions that are about to end for idleness, and notifies warned ones that go on.
    pub(super) fn tell_deadlines(
        &mut self,
        ledger: &Ledger,
        policy: &Policy,
        now: Timestamp,
        metrics: &Metrics,
    ) {
        for session in ledger.live() {
            let (session_id, deadline) = (session.id(), session.idle_expires_at());
            if self.warned.get(&session_id).is_some_and(|warned| *warned < deadline) {
                self.warned.remove(&session_id);
                let message = DeviceMessage::Extended {
                    session_id,
                    idle_expires_at: deadline,
                    current: true,
                    timestamp: now,
                };
                self.tell_session(session_id, metrics, &message.to_json());
            }
            let due = warning_at(session, policy).is_some_and(|at| at <= now) && now < deadline;
            if due && self.of_session(session_id) > 0 && !self.warned.contains_key(&session_id) {
                self.warned.insert(session_id, deadline);
                self.tell_session(session_id, metrics, &expiring(session, now).to_json());
            }
        }
    }

    /// When the next warning is due.
    pub(super) fn next_warning(&self, ledger: &Ledger, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let unwarned = ledger
            .live()
            .iter()
            .filter(|session| self.of_session(session.id()) > 0 && !self.warned.contains_key(&session.id()));
        // One that is past has been sent already, or would be too late.
        unwarned.filter_map(|session| warning_at(session, policy)).filter(|at| *at > now).min()
    }

    /// Whether any session was warned and has not been extended since.
    pub(super) fn has_any_warned(&self) -> bool {
        !self.warned.is_empty()
    }

    /// The warned sessions.
    pub(super) fn warned(&self) -> impl Iterator<Item = SessionId> {
        self.warned.keys().copied()
    }
}

fn expiring(session: &Session, now: Timestamp) -> DeviceMessage<'static> {
    let idle_expires_at = session.idle_expires_at();
    let remaining = now.until(idle_expires_at).as_millis().div_ceil(1000);
    DeviceMessage::Expiring {
        session_id: session.id(),
        remaining_seconds: u64::try_from(remaining).unwrap_or(0),
        idle_expires_at,
        current: true,
        timestamp: now,
    }
}

/// `None` if the warning would be due as soon as the session is active.
fn warning_at(session: &Session, policy: &Policy) -> Option<Timestamp> {
    let warning = policy.warning.filter(|warning| *warning < session.times.idle_timeout)?;
    Some(session.idle_expires_at().minus(warning))
}

fn view(session: &Session, receiver: SessionId) -> SessionView<'_> {
    SessionView::new(&session.profile, session.times, session.last_activity, receiver)
}

/// False if the device must be dropped: it does not read, or is gone.
fn deliver(device: &mut Device, message: String, metrics: &Metrics) -> bool {
    match device.queue.try_send(Delivery::Message(message)) {
        Ok(()) => true,
        Err(error) => {
            if error.is_full() {
                metrics.devices_dropped.with_label_values(&["slow"]).inc();
            }
            false
        }
    }
}
