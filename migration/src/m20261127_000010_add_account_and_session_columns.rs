//! Columns for authentication, policies and the expiry of a session. Each is nullable, or has a default:
//! during a rolling restart the previous version continues to write rows without them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Table, column, and what it holds.
const COLUMNS: [(&str, &str, &str); 15] = [
    ("users", "email_verified_at", "BIGINT"),
    ("users", "locale", "TEXT"),
    ("users", "credentials_changed_at", "BIGINT"),
    ("users", "factors", "INTEGER NOT NULL DEFAULT 0"),
    ("users", "password_change_required", "BOOLEAN NOT NULL DEFAULT FALSE"),
    ("users", "policy", "TEXT"),
    ("users", "delete_at", "BIGINT"),
    ("sessions", "auth_time", "BIGINT"),
    ("sessions", "amr", "INTEGER"),
    ("sessions", "idle_timeout_ms", "BIGINT"),
    ("sessions", "remember", "BOOLEAN"),
    ("sessions", "refresh_in_body", "BOOLEAN NOT NULL DEFAULT FALSE"),
    ("sessions", "refresh_seen_at", "BIGINT"),
    ("sessions", "refresh_floor", "INTEGER NOT NULL DEFAULT 0"),
    // 0, as the previous version leaves it: not computed yet, so the sweeper reads it next.
    ("sessions", "ends_at", "BIGINT NOT NULL DEFAULT 0"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column, holds) in COLUMNS {
            let add = format!("ALTER TABLE {table} ADD COLUMN {column} {holds}");
            manager.get_connection().execute_unprepared(&add).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column, _) in COLUMNS.iter().rev() {
            let drop = format!("ALTER TABLE {table} DROP COLUMN {column}");
            manager.get_connection().execute_unprepared(&drop).await?;
        }
        Ok(())
    }
}
