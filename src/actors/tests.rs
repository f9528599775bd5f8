//! The promises of the actors, each on a real database: loading, panics, rest, retirement, room,
//! mailboxes, session status, timers, clock steps, draining, sweeping.

mod clock;
mod draining;
mod loading;
mod mailbox;
mod panics;
mod rest;
mod retirement;
mod room;
mod session_status;
mod sweeping;
mod timers;
