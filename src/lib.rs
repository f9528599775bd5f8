//! A session engine: **a change is request → extractor → user actor → store (one transaction) → events out; the reply
//! retraces it once. A check is request → token → snapshot in memory → reply.**
//!
//! In reading order: [`domain`] is what may happen; [`actors`] are those to whom it happens, one a user; [`storage`]
//! remembers it and arbitrates between nodes; [`events`] and [`bus`] tell others, [`mail`] the person; [`security`] decides who is let in;
//! [`http`] is the outside; [`app`] puts it together. [`config`], [`clock`], [`io`] and [`telemetry`] serve them all.
//!
//! Imports point one way only: app, cli · http · actors · storage, bus, mail · security, events · domain, config, clock, io,
//! telemetry. `tests/house/layers.rs` checks it.

pub mod actors;
pub mod app;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod http;
pub mod io;
pub mod mail;
pub mod security;
pub mod storage;
pub mod telemetry;
