//! Indexes live sessions by the ten minutes in which they were last active, no longer by the time itself:
//! most activity then changes no indexed column, so PostgreSQL updates the row in place (HOT).
//!
//! The database itself derives the period, so no writer can forget it. On PostgreSQL the table is rewritten
//! once, about 10 s for a million rows, and is locked meanwhile.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMN: &str = "ALTER TABLE sessions ADD COLUMN activity_period bigint \
    GENERATED ALWAYS AS (last_activity / 600000)";
const UP: [&str; 2] = [
    "CREATE INDEX sessions_live_by_period ON sessions (activity_period, id) WHERE ended_at IS NULL",
    "DROP INDEX sessions_live_by_activity",
];
const DOWN: [&str; 3] = [
    "CREATE INDEX sessions_live_by_activity ON sessions (last_activity) WHERE ended_at IS NULL",
    "DROP INDEX sessions_live_by_period",
    "ALTER TABLE sessions DROP COLUMN activity_period",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // PostgreSQL can index only a stored one; SQLite can add only a virtual one.
        let kind = if manager.get_database_backend() == DbBackend::Postgres { "STORED" } else { "VIRTUAL" };
        db.execute_unprepared(&format!("{COLUMN} {kind}")).await?;
        for statement in UP {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
