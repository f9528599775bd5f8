//! Black-box tests: each starts the real program as a process of its own, speaks HTTP to it over TCP,
//! and looks at nothing but what a client or an operator can see.
//!
//! One binary for all of them, because linking is what takes the time; so it is named `all`, and not after a folder,
//! which rustfmt would take for the place of every module below. Tests named `sqlite` need nothing;
//! those named `postgres` are ignored by a plain `cargo test` and run by `./scripts/test`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// What the tests are written with, in reading order.
mod support {
    pub(crate) mod answer;
    pub(crate) mod app;
    pub(crate) mod child;
    pub(crate) mod client;
    pub(crate) mod database;
    pub(crate) mod live;
    pub(crate) mod metrics;
    pub(crate) mod proxy;
    pub(crate) mod random;
    pub(crate) mod time;
    pub(crate) mod token;

    pub(crate) use answer::Answer;
    pub(crate) use app::{Setup, TestApp};
    pub(crate) use client::{Client, Person};
    pub(crate) use database::{Database, on_each_database};
    pub(crate) use live::{Closing, Connection, Transport};
    pub(crate) use time::{eventually, milliseconds, timestamp};
}

/// The tests, one file for each resource or promise.
mod blackbox {
    mod activity;
    mod config;
    mod cookies;
    mod cors;
    mod crash;
    mod errors;
    mod events;
    mod health;
    mod limit;
    mod live_limits;
    mod live_nodes;
    mod login;
    mod logout;
    mod logs;
    mod me;
    mod metrics;
    mod openapi;
    mod prefix;
    mod proxy;
    mod rate_limits;
    mod refresh;
    mod session;
    mod sessions;
    mod shutdown;
    mod signup;
    mod startup;
    mod storage_faults;
    mod theft;
    mod tickets;
    mod timeouts;
    mod tokens;
    mod validation;
    mod websocket;
}
