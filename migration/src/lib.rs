//! Schema changes, oldest first. A migration that has been released is never edited: add another.
//!
//! Versions of the service run side by side during a rolling restart, so a change expands first
//! (add, nullable or with a default) and contracts in a later release.

pub use sea_orm_migration::prelude::*;

mod m20261123_000001_create_users;
mod m20261123_000002_create_sessions;
mod m20261123_000003_create_outbox;
mod m20261123_000004_add_disabled_at;
mod m20261126_000005_create_spent_tickets;
mod m20261127_000010_add_account_and_session_columns;
mod m20261127_000011_index_ends_of_sessions;
mod m20261127_000020_bring_emails_to_one_form;
mod m20261127_000030_create_mails;
mod m20261127_000031_create_mail_requests;
mod m20261127_000040_create_factors;
mod m20261127_000041_create_passkeys;
mod m20261127_000042_index_deletions;
mod m20261127_000050_create_api_keys;
mod m20261127_000051_index_admin_lists;
mod m20261127_000052_create_node_stats;
mod m20261127_000060_add_rotations;
mod m20261128_000070_index_periods_of_activity;

/// The list of migrations, in the order they are applied.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_users::Migration),
            Box::new(m20261123_000002_create_sessions::Migration),
            Box::new(m20261123_000003_create_outbox::Migration),
            Box::new(m20261123_000004_add_disabled_at::Migration),
            Box::new(m20261126_000005_create_spent_tickets::Migration),
            Box::new(m20261127_000010_add_account_and_session_columns::Migration),
            Box::new(m20261127_000011_index_ends_of_sessions::Migration),
            Box::new(m20261127_000020_bring_emails_to_one_form::Migration),
            Box::new(m20261127_000030_create_mails::Migration),
            Box::new(m20261127_000031_create_mail_requests::Migration),
            Box::new(m20261127_000040_create_factors::Migration),
            Box::new(m20261127_000041_create_passkeys::Migration),
            Box::new(m20261127_000042_index_deletions::Migration),
            Box::new(m20261127_000050_create_api_keys::Migration),
            Box::new(m20261127_000051_index_admin_lists::Migration),
            Box::new(m20261127_000052_create_node_stats::Migration),
            Box::new(m20261127_000060_add_rotations::Migration),
            Box::new(m20261128_000070_index_periods_of_activity::Migration),
        ]
    }
}
