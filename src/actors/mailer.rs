//! Sends the mails that changes have stored: on every node, row by row, several at once.
//!
//! Bounds: [`STARTED`] mails that are not slow yet, and [`OPEN`] in all, so that slow receivers do not
//! hold up other mail; the table is the queue. `auth_mail_queue_depth`, `auth_mail_oldest_age_seconds`.

mod delivery;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use rand::Rng;
use tokio::sync::Semaphore;

use super::registry::Registry;
use crate::io::Io;
use crate::mail::Post;
use crate::security::encryption::Encryption;
use delivery::Delivery;

/// Most mails being sent by this node that have not turned out to be slow.
const STARTED: usize = 32;
/// A mail that takes longer is slow.
const SLOW: Duration = Duration::from_secs(3);
/// Most mails being sent by this node.
const OPEN: usize = 512;
/// How often the table is polled without a signal from a commit: for other nodes' mails, and for retries
/// that are due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The queue is measured once in this many polls.
const MEASURED: u32 = 5;
/// How long shutdown waits for mails that are being sent: a mail whose text has been sent would
/// otherwise be sent again.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is needed to make and send mails.
#[derive(Debug)]
pub struct PostOffice {
    /// The templates and the connection to the server.
    pub post: Post,
    /// Derives the codes.
    pub keys: Arc<Encryption>,
    /// The runtime of its sockets.
    pub io: Io,
}

/// Sends mails.
#[derive(Debug)]
pub struct Mailer {
    registry: Registry,
    office: Arc<PostOffice>,
    started: Arc<Semaphore>,
    open: Arc<Semaphore>,
    ends: Arc<AtomicBool>,
}

/// Takes no further mail, and waits a while for those that are being sent.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct FinishMails;

impl Mailer {
    /// A mailer for that registry's store.
    #[must_use]
    pub fn new(registry: Registry, office: Arc<PostOffice>) -> Self {
        Self {
            registry,
            office,
            started: Arc::new(Semaphore::new(STARTED)),
            open: Arc::new(Semaphore::new(OPEN)),
            ends: Arc::default(),
        }
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let round = Round {
            registry: self.registry.clone(),
            office: Arc::clone(&self.office),
            started: Arc::clone(&self.started),
            open: Arc::clone(&self.open),
        };
        let ends = Arc::clone(&self.ends);
        let work = async move {
            let mut rounds = 0_u32;
            while !ends.load(Ordering::Relaxed) {
                if rounds.is_multiple_of(MEASURED) {
                    round.measure().await;
                }
                if !round.lease_and_send().await {
                    // Jittered, so that nodes do not poll in step.
                    let wait = POLL_INTERVAL.mul_f64(rand::rng().random_range(0.8..1.2));
                    let bell = round.registry.mail_signal().notified();
                    let _ = tokio::time::timeout(wait, bell).await;
                    rounds = rounds.wrapping_add(1);
                }
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

impl Handler<FinishMails> for Mailer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FinishMails, _: &mut Context<Self>) -> Self::Result {
        self.ends.store(true, Ordering::Relaxed);
        let open = Arc::clone(&self.open);
        Box::pin(async move {
            let all = open.acquire_many(OPEN as u32);
            let _ = tokio::time::timeout(FAREWELL, all).await;
        })
    }
}

/// What one poll for mails needs.
struct Round {
    registry: Registry,
    office: Arc<PostOffice>,
    started: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Round {
    /// Returns whether there may be more to take right now.
    async fn lease_and_send(&self) -> bool {
        // Respects both bounds, so that leased mails are sent without further waiting, while the lease
        // is young.
        let free = self.started.available_permits().min(self.open.available_permits());
        if free == 0 {
            let room = async {
                drop(self.open.acquire().await);
                drop(self.started.acquire().await);
            };
            return tokio::time::timeout(POLL_INTERVAL, room).await.is_ok();
        }
        let now = self.registry.clock().now();
        let leased = match self.registry.store().lease_mails(now, free as u64).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "mail.lease_failed");
                return false;
            }
        };
        let took_all = leased.len() == free;
        for mail in leased {
            let (Ok(started), Ok(open)) =
                (Arc::clone(&self.started).try_acquire_owned(), Arc::clone(&self.open).try_acquire_owned())
            else {
                // Unreachable: nobody else takes permits. The mail's lease would end, and it would be
                // taken again.
                return false;
            };
            let delivery =
                Delivery { registry: self.registry.clone(), office: Arc::clone(&self.office), mail };
            self.office.io.detach(async move {
                let mut sending = Box::pin(delivery.run());
                if tokio::time::timeout(SLOW, sending.as_mut()).await.is_err() {
                    drop(started);
                    sending.await;
                }
                drop(open);
            });
        }
        took_all
    }

    async fn measure(&self) {
        let metrics = self.registry.metrics();
        match self.registry.store().mail_backlog().await {
            Ok((depth, oldest)) => {
                let age = oldest.map_or(Duration::ZERO, |oldest| oldest.until(self.registry.clock().now()));
                metrics.mail_queue_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
                metrics.mail_oldest_age.set(age.as_secs_f64());
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "mail.measure_failed"),
        }
    }
}
