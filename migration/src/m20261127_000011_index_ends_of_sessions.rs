//! Indexes live sessions by the earliest time at which they could expire, which activity does not move
//! and the sweeper uses.
//!
//! The index over `expires_at` remains for now: the previous version sweeps by it during a rolling
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
