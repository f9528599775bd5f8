//! The actors to which sessions belong: one per user, and a few that live as long as the service.
//!
//! In reading order: [`live_session`] and [`snapshot`] (what a request reads), [`user_slot`] (what an
//! actor shares with requests), [`user_session`] (the only writer of a user's sessions), [`registry`]
//! (finds, starts, restarts and retires those actors), [`session_status`] (is this session valid?),
//! [`sign_up`] (the first session), [`devices`] (open connections), [`alarms`] and [`waker`] (their
//! timers), then the long-lived ones: [`activity`] and [`activity_flusher`], [`change_watcher`] and
//! [`freshness`] (other nodes), [`api_keys`], [`publisher`], [`mailer`], [`sweeper`], kept running by
//! [`supervise`]. [`operators`] and [`stats`] serve those who run the service, [`revocations`] the
//! services that verify tokens.

pub mod activity;
pub mod activity_flusher;
pub mod alarms;
pub mod api_keys;
pub mod change_watcher;
pub mod devices;
pub mod freshness;
pub mod live_session;
pub mod mailer;
pub mod messages;
pub mod operators;
pub mod publisher;
pub mod registry;
pub mod revocations;
pub mod session_status;
pub mod sighting;
pub mod sign_up;
pub mod snapshot;
pub mod stats;
pub mod supervise;
pub mod sweeper;
pub mod user_session;
pub mod user_slot;
pub mod waker;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
