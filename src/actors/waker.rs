//! Wakes the actors whose timers are due.

use actix::{Actor, AsyncContext, Context, WrapFuture};

use super::registry::Registry;

/// After this many timers, other work of the arbiter gets its turn.
const AT_ONCE: usize = 256;

/// Wakes actors whose timer is due. A panic loses at most one timer; the sweeper then finds the overdue user.
#[derive(Debug)]
pub struct Waker {
    registry: Registry,
}

impl Waker {
    /// The waker of that registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

impl Actor for Waker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let registry = self.registry.clone();
        let waking = async move {
            loop {
                for _ in 0..AT_ONCE {
                    registry.wake(registry.alarms().next().await);
                }
                tokio::task::yield_now().await;
            }
        };
        ctx.spawn(waking.into_actor(self));
    }
}
