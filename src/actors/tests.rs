//! The promises of the actors, each on a real database: loading, panics, rest, retirement, room, mailboxes,
//! standing, timers, clocks that step, draining, sweeping.

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
