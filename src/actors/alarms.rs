//! The timers of all residents, in one sorted set. [`super::waker`] wakes the actors whose timers are due.
//!
//! A timer in each actor took 150 bytes; an entry here takes about 45. Bound: one entry per resident.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// When an alarm rings, in ms since `began`, on a clock that cannot be set.
pub(super) type Ringing = u64;

/// A resident's only alarm, and the deadline it was set for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) deadline: Timestamp,
    pub(super) ringing: Ringing,
}

/// Which users to wake, and when.
#[derive(Debug)]
pub(super) struct Alarms {
    began: Instant,
    set: Mutex<BTreeSet<(Ringing, UserId)>>,
    /// Notified when an alarm is set that comes before all others.
    earlier: Notify,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { began: Instant::now(), set: Mutex::default(), earlier: Notify::new() }
    }
}

impl Alarms {
    /// Sets an alarm that wakes the user's actor after that time, not a moment before.
    pub(super) fn set(&self, user: UserId, after: Duration) -> Ringing {
        let at = self.began.elapsed().saturating_add(after);
        let at = u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let mut set = self.lock();
        set.insert((at, user));
        if set.first() == Some(&(at, user)) {
            self.earlier.notify_one();
        }
        at
    }

    /// Cancels an alarm; one that has rung is no longer there.
    pub(super) fn cancel(&self, user: UserId, at: Ringing) {
        self.lock().remove(&(at, user));
    }

    /// Waits for the next alarm, and takes it.
    pub(super) async fn next(&self) -> UserId {
        loop {
            let next = match self.take_due() {
                Ok(user) => return user,
                Err(next) => next.map(|at| self.began + Duration::from_millis(at)),
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// The user whose alarm is due; otherwise the time of the first alarm.
    fn take_due(&self) -> Result<UserId, Option<Ringing>> {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut set = self.lock();
        match set.first().copied() {
            Some(first) if first.0 <= now => {
                set.remove(&first);
                Ok(first.1)
            }
            first => Err(first.map(|(at, _)| at)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Ringing, UserId)>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How long until the first alarm rings.
    #[cfg(test)]
    pub(super) fn until_first(&self) -> Option<Duration> {
        let at = self.lock().first()?.0;
        Some(Duration::from_millis(at).saturating_sub(self.began.elapsed()))
    }

    /// Loses all alarms.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}

/// For ever, if there is no alarm.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId::new(Uuid::from_u128(number))
    }

    const SOON: Duration = Duration::from_millis(20);

    #[actix_web::test]
    async fn alarms_ring_in_their_order_and_not_early() {
        let (alarms, began) = (Alarms::default(), Instant::now());
        alarms.set(user(2), SOON * 2);
        alarms.set(user(1), SOON);
        assert_eq!((alarms.next().await, began.elapsed() >= SOON), (user(1), true));
        assert_eq!((alarms.next().await, began.elapsed() >= SOON * 2), (user(2), true));
        assert_eq!(alarms.len(), 0);
    }

    #[actix_web::test]
    async fn who_waits_hears_of_an_earlier_one() {
        let alarms = Alarms::default();
        alarms.set(user(1), Duration::from_secs(3_600));
        let set = async {
            tokio::task::yield_now().await;
            alarms.set(user(2), SOON);
        };
        assert_eq!(tokio::join!(alarms.next(), set).0, user(2));
    }

    #[actix_web::test]
    async fn one_that_is_taken_back_does_not_ring() {
        let alarms = Alarms::default();
        let first = alarms.set(user(1), Duration::ZERO);
        alarms.set(user(2), SOON);
        alarms.cancel(user(1), first);
        assert_eq!(alarms.next().await, user(2));
    }
}
