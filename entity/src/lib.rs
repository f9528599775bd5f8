//! The tables of the session engine as SeaORM entities, and nothing else: no rule, no query, no default.
//!
//! Times are `i64` milliseconds since the Unix epoch, in UTC, in both databases, so that they compare alike.
#![expect(missing_docs, reason = "the derive writes public items that cannot carry documentation")]

pub mod api_key;
pub mod factor;
pub mod mail;
pub mod mail_request;
pub mod node_stats;
pub mod outbox;
pub mod passkey;
pub mod recovery_code;
pub mod session;
pub mod spent_ticket;
pub mod user;
