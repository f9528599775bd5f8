//! Sessions: keyed by user, with partial indexes that hold live sessions only.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Sessions {
    Table,
    UserId,
    Id,
    Token,
    RefreshGeneration,
    RefreshedAt,
    TokensExpireAt,
    DeviceName,
    Browser,
    Os,
    DeviceType,
    UserAgent,
    IpAddress,
    CreatedAt,
    LastActivity,
    ExpiresAt,
    EndedAt,
    EndReason,
    EndedBy,
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
}

/// One statement each: live sessions of a user, overdue live sessions, old ended ones.
const INDEXES: [&str; 4] = [
    "CREATE INDEX sessions_live_by_user ON sessions (user_id) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_live_by_activity ON sessions (last_activity) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_live_by_expiry ON sessions (expires_at) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Sessions::Table)
            .col(ColumnDef::new(Sessions::UserId).uuid().not_null())
            .col(ColumnDef::new(Sessions::Id).uuid().not_null())
            .col(ColumnDef::new(Sessions::Token).uuid().not_null())
            .col(ColumnDef::new(Sessions::RefreshGeneration).integer().not_null())
            .col(ColumnDef::new(Sessions::RefreshedAt).big_integer().not_null())
            .col(ColumnDef::new(Sessions::TokensExpireAt).big_integer().not_null())
            .col(ColumnDef::new(Sessions::DeviceName).text())
            .col(ColumnDef::new(Sessions::Browser).text())
            .col(ColumnDef::new(Sessions::Os).text())
            .col(ColumnDef::new(Sessions::DeviceType).text().not_null())
            .col(ColumnDef::new(Sessions::UserAgent).text())
            .col(ColumnDef::new(Sessions::IpAddress).text())
            .col(ColumnDef::new(Sessions::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(Sessions::LastActivity).big_integer().not_null())
            .col(ColumnDef::new(Sessions::ExpiresAt).big_integer().not_null())
            .col(ColumnDef::new(Sessions::EndedAt).big_integer())
            .col(ColumnDef::new(Sessions::EndReason).text())
            .col(ColumnDef::new(Sessions::EndedBy).uuid())
            .primary_key(Index::create().col(Sessions::UserId).col(Sessions::Id))
            .foreign_key(
                ForeignKey::create()
                    .name("sessions_user")
                    .from(Sessions::Table, Sessions::UserId)
                    .to(Users::Table, Users::Id)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        for statement in INDEXES {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Sessions::Table).to_owned()).await
    }
}
