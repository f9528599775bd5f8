//! Passwords, tokens, keys, rate limits and addresses: everything that decides whether a stranger is let
//! in. It knows neither HTTP nor SQL.
//!
//! In reading order: [`password`] (its own small thread pool), [`password_rules`], [`keys`] and [`generate`],
//! [`tokens`], [`access_token`], [`refresh_token`], [`ticket`], [`login_ticket`], [`challenge`],
//! [`webauthn`], [`encryption`], [`codes`], [`totp`], [`recovery_code`], [`rate_limit`], [`client_ip`].

pub mod access_token;
pub mod api_key;
pub mod challenge;
pub mod claims;
pub mod client_ip;
pub mod codes;
pub mod encryption;
pub mod generate;
pub mod keys;
pub mod login_ticket;
pub mod password;
pub mod password_rules;
pub mod peer_key;
pub mod rate_limit;
pub mod recovery_code;
pub mod refresh_token;
pub mod ticket;
pub mod tokens;
pub mod totp;
mod verified_tokens;
pub mod webauthn;
