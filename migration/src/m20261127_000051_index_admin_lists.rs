//! Indexes for operators' lists, so that any page of them is read from an index: newest accounts first,
//! by role, disabled, unverified, and by the prefix of an address. A value that most rows have has no
//! index of its own.
//!
//! On PostgreSQL the index that keeps addresses unique is replaced by one that also supports prefixes,
//! rather than adding another.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 4] = [
    "CREATE INDEX users_newest ON users (created_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX users_by_role ON users (role, created_at DESC, id DESC) \
     WHERE role <> 'STARTER' AND deleted_at IS NULL",
    "CREATE INDEX users_disabled ON users (created_at DESC, id DESC) \
     WHERE disabled_at IS NOT NULL AND deleted_at IS NULL",
    "CREATE INDEX users_unverified ON users (created_at DESC, id DESC) \
     WHERE email_verified_at IS NULL AND deleted_at IS NULL",
];
const UP_POSTGRES: [&str; 2] = [
    "CREATE UNIQUE INDEX users_email_unique ON users (email text_pattern_ops)",
    "ALTER TABLE users DROP CONSTRAINT users_email_key",
];
const DOWN: [&str; 4] = [
    "DROP INDEX users_newest",
    "DROP INDEX users_by_role",
    "DROP INDEX users_disabled",
    "DROP INDEX users_unverified",
];
const DOWN_POSTGRES: [&str; 2] =
    ["ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)", "DROP INDEX users_email_unique"];

async fn run(manager: &SchemaManager<'_>, all: &[&str], postgres: &[&str]) -> Result<(), DbErr> {
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    let of_postgres = postgres.iter().filter(|_| is_postgres);
    for statement in all.iter().chain(of_postgres) {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP, &UP_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN, &DOWN_POSTGRES).await
    }
}
