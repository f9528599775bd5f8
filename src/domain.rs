//! The rules of users and sessions as pure code: no IO, no clock, no randomness; those come in as arguments.
//!
//! In reading order: [`time`] and [`ids`], [`text`], [`field_problem`], [`email`], [`role`], [`user`],
//! [`authentication`], [`device`], [`address_form`], [`reason`], [`session`], [`policy`], [`account_change`],
//! [`account_details`], [`account`], [`event`], [`sign_in`] (the steps before a session), then
//! [`ledger`] (a user's sessions) and [`command`] (what may happen to them); [`mail`] is what is mailed.

pub mod account;
pub mod account_change;
pub mod account_details;
pub mod address_form;
pub mod authentication;
pub mod command;
pub mod device;
pub mod email;
pub mod event;
pub mod field_problem;
pub mod ids;
pub mod ledger;
pub mod mail;
pub mod password_hash;
pub mod policy;
pub mod reason;
pub mod role;
pub mod session;
pub mod sign_in;
pub mod text;
pub mod time;
pub mod user;

#[cfg(test)]
mod properties;
