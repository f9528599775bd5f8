//! Verifies the auth service's access tokens, and rejects a session within `max_staleness` of its
//! end.
//!
//! Create one [`Verifier`] per process. With feature `axum` or `actix`, [`Identity`] is an
//! extractor.

mod ended_sessions;
mod error;
mod given;
mod once_a_minute;
mod published_keys;
mod remembered;
mod revocations;
mod tokens;
mod verifier;

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;

pub use ended_sessions::{Ended, Listener};
pub use error::AuthError;
pub use verifier::{Check, Identity, OnUnsure, Options, OptionsError, Status, Verifier};
