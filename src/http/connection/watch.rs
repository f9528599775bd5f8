//! Ends connections on which a head has begun and is not completed. The library limits the time of a
//! connection's first head only.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::ConnectionState;
use crate::http::server::HEAD_TIMEOUT;

/// How often the connections of a worker are checked.
const EVERY: Duration = Duration::from_secs(1);

/// The connections of one worker.
#[derive(Debug, Default)]
pub(in crate::http) struct Watched {
    connections: RefCell<Vec<Weak<ConnectionState>>>,
    is_watching: Cell<bool>,
}

impl Watched {
    /// Watches one more connection for as long as it lasts. Must be called on the worker's thread.
    pub(in crate::http) fn add(self: &Rc<Self>, connection: &Rc<ConnectionState>) {
        self.connections.borrow_mut().push(Rc::downgrade(connection));
        if !self.is_watching.replace(true) {
            actix_web::rt::spawn(Rc::clone(self).watch());
        }
    }

    async fn watch(self: Rc<Self>) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.connections.borrow_mut().retain(|connection| {
                let connection = connection.upgrade();
                connection.iter().for_each(|connection| look(connection));
                connection.is_some()
            });
        }
    }
}

fn look(connection: &ConnectionState) {
    if !connection.awaits_head() {
        connection.looks.set(0);
        return;
    }
    connection.looks.set(connection.looks.get() + 1);
    if u64::from(connection.looks.get()) > HEAD_TIMEOUT.as_secs() {
        connection.end();
    }
}
