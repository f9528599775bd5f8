//! What handlers receive instead of the raw request.
//!
//! [`session`]: a proof that the caller's session is live; [`refresh`]: the same from a refresh token, which
//! is not rotated; [`json`]: a body that is a JSON object; [`form`]: one that is a form; [`operator`]: a
//! proof that the caller may do what a scope names; [`client`]: where the request comes from.

pub mod client;
pub mod form;
pub mod fresh;
pub mod json;
pub mod operator;
mod origin;
pub mod refresh;
pub mod session;
