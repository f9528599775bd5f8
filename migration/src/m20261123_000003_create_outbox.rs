//! Outbox: its key only grows, even after rows are deleted, because it is the order of publishing.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    UserId,
    Channel,
    Payload,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Outbox::Table)
            .col(ColumnDef::new(Outbox::Id).big_integer().not_null().auto_increment().primary_key())
            .col(ColumnDef::new(Outbox::UserId).uuid().not_null())
            .col(ColumnDef::new(Outbox::Channel).text().not_null())
            .col(ColumnDef::new(Outbox::Payload).text().not_null())
            .col(ColumnDef::new(Outbox::CreatedAt).big_integer().not_null())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Outbox::Table).to_owned()).await
    }
}
