//! What handlers are given instead of the raw request.
//!
//! [`session`]: a proof that the caller's session is live; [`json`]: a body that is a JSON object; [`client`]: where
//! the request comes from.

pub mod client;
pub mod json;
pub mod session;
