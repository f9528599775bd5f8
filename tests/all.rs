//! Tests from outside the library. Black-box tests start the real program as a process of its own, speak HTTP
//! to it over TCP, and look at nothing but what a client or an operator can see. Storage tests are the
//! contract that both databases keep. Fuzz tests try any input. House tests read the sources.
//!
//! One binary for all of them, because linking is what takes the time; so it is named `all`, and not after a
//! folder, which rustfmt would take for the place of every module below. Tests named `sqlite` need nothing;
//! those named `postgres` are ignored by a plain `cargo test` and run by `./scripts/test`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what a run measured is part of what it says")]

/// What the tests are written with, in reading order.
mod support {
    pub(crate) mod answer;
    pub(crate) mod app;
    pub(crate) mod authenticator;
    pub(crate) mod child;
    pub(crate) mod client;
    pub(crate) mod cluster;
    pub(crate) mod collector;
    pub(crate) mod database;
    pub(crate) mod exim;
    pub(crate) mod follower;
    pub(crate) mod live;
    pub(crate) mod metrics;
    pub(crate) mod pgbouncer;
    pub(crate) mod postgres;
    pub(crate) mod proxy;
    pub(crate) mod random;
    pub(crate) mod redis;
    pub(crate) mod redis_cluster;
    pub(crate) mod redis_kind;
    pub(crate) mod sentinels;
    pub(crate) mod smtp;
    pub(crate) mod store;
    pub(crate) mod time;
    pub(crate) mod token;
    pub(crate) mod witness;
    pub(crate) mod writer;

    pub(crate) use answer::Answer;
    pub(crate) use app::{Setup, TestApp};
    pub(crate) use client::{Client, Person};
    pub(crate) use cluster::Cluster;
    pub(crate) use database::{Database, on_each_database};
    pub(crate) use live::{Closing, Connection, Transport};
    pub(crate) use time::{eventually, milliseconds, timestamp};
}

/// Any input: properties of the parts, and of the running program.
mod fuzz {
    mod input;
    mod requests;
}

/// The tests, one file for each resource or promise.
mod blackbox {
    mod activity;
    mod admin_live;
    mod admin_sessions;
    mod admin_users;
    mod administration;
    mod ambiguous;
    mod api_keys;
    mod audit;
    mod budgets;
    mod challenges;
    mod client_ids;
    mod codes;
    mod config;
    mod cookies;
    mod cors;
    mod crash;
    mod disclosure;
    mod discovery;
    mod disk_full;
    mod enrolment;
    mod errors;
    mod event_tail;
    mod events;
    mod flood;
    mod heads;
    mod health;
    mod http_standards;
    mod importing;
    mod importing_faults;
    mod introspect;
    mod key_changes;
    mod limit;
    mod live_limits;
    mod live_nodes;
    mod locales;
    mod login;
    mod logout;
    mod logs;
    mod mail;
    mod mail_server;
    mod me;
    mod metrics;
    mod nobody_listens;
    mod normal_forms;
    mod notices;
    mod openapi;
    mod oversized;
    mod partitions;
    mod passkeys;
    mod password_change;
    mod password_rules;
    mod personal_data;
    mod prefix;
    mod proxy;
    mod rate_limits;
    mod refresh;
    mod remote_commands;
    mod replacing;
    mod replacing_by_steps;
    mod resets;
    mod revocations;
    mod revoke;
    mod second_factor;
    mod secrets;
    mod session;
    mod sessions;
    mod shutdown;
    mod signup;
    mod spellings;
    mod startup;
    mod storage_faults;
    mod strange_cookies;
    mod theft;
    mod tickets;
    mod timeouts;
    mod token_attacks;
    mod tokens;
    mod traces;
    mod unseen;
    mod unsuitable_database;
    mod unwritable_log;
    mod validation;
    mod verify;
    mod websocket;
}

/// What every database must do alike, asked of the library's store.
mod storage {
    mod accounts;
    mod activity;
    mod cancelled_work;
    mod changes;
    mod commits;
    mod endings;
    mod factors;
    mod feed_neighbours;
    mod ledger;
    mod migrations;
    mod outbox;
    mod overdue;
    mod pages;
    mod retention;
    mod rotations;
    mod session_pages;
    mod tickets;
    mod users;
}

/// Several nodes on one database and one Redis, and what is taken from under them. Each test waits for its
/// turn, because a few clusters at once would measure nothing but each other.
mod multi_node {
    mod account_changes;
    mod activity_counts;
    mod activity_from_memory;
    mod api_keys;
    mod ask;
    mod chaos;
    mod credential_races;
    mod elsewhere;
    mod events;
    mod faults;
    mod idle;
    mod limit;
    mod lost_answers;
    mod mail;
    mod neighbours;
    mod node_death;
    mod overdue;
    mod partition;
    mod policies;
    mod poolers;
    mod propagation;
    mod redis_clusters;
    mod redis_faults;
    mod redis_kinds;
    mod refresh;
    mod remembering;
    mod resets;
    mod revocation;
    mod revocations;
    mod sign_in;
    mod startup;
    mod tickets;
}

/// What the sources themselves must keep to.
mod house {
    mod circles;
    mod english;
    mod files;
    mod layers;
    mod links;
    mod openapi;
    mod scripts;
    mod sources;
}
