//! A session engine: **a change is request → extractor → user actor → store (one transaction) → events out;
//! the reply retraces it once. A check is request → token → snapshot in memory → reply.**
//!
//! In reading order: [`domain`] has the rules; [`actors`] apply them, one actor per user; [`storage`]
//! stores the state and arbitrates between nodes; [`events`] and [`bus`] notify other services, [`mail`]
//! notifies the person; [`security`] has tokens and proofs; [`http`] is the public interface; [`app`]
//! assembles it all. [`config`], [`clock`], [`io`] and [`telemetry`] serve all the others.
//!
//! Imports point one way only: app, cli → http → actors → storage, bus, mail → security, events →
//! domain, config, clock, io, telemetry. `tests/house/layers.rs` checks it.

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
