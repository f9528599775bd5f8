//! Live sessions by the time at which they could end by their own times, which activity does not move: what
//! the sweeper goes by.
//!
//! The index over `expires_at` stays for now: the version before this one sweeps by it during a rolling
//! restart.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "CREATE INDEX sessions_live_by_end ON sessions (ends_at) WHERE ended_at IS NULL";
const DOWN: &str = "DROP INDEX sessions_live_by_end";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}
