//! Spent tickets: a key that can be taken once, and an index for their deletion.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum SpentTickets {
    Table,
    UserId,
    Id,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(SpentTickets::Table)
            .col(ColumnDef::new(SpentTickets::UserId).uuid().not_null())
            .col(ColumnDef::new(SpentTickets::Id).uuid().not_null())
            .col(ColumnDef::new(SpentTickets::ExpiresAt).big_integer().not_null())
            .primary_key(Index::create().col(SpentTickets::UserId).col(SpentTickets::Id))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("spent_tickets_expiry")
            .table(SpentTickets::Table)
            .col(SpentTickets::ExpiresAt)
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(SpentTickets::Table).to_owned()).await
    }
}
