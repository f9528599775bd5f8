//! Mails that wait to be sent: found by when they may be tried, deleted by when they were written.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Mails {
    Table,
    Id,
    Kind,
    UserId,
    Address,
    Locale,
    Params,
    RequestId,
    CreatedAt,
    UsefulUntil,
    NextAt,
    Attempts,
    TextNotedAt,
    DoneAt,
    Outcome,
    Error,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Mails::Table)
            .col(ColumnDef::new(Mails::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Mails::Kind).text().not_null())
            .col(ColumnDef::new(Mails::UserId).uuid())
            .col(ColumnDef::new(Mails::Address).text())
            .col(ColumnDef::new(Mails::Locale).text())
            .col(ColumnDef::new(Mails::Params).text().not_null())
            .col(ColumnDef::new(Mails::RequestId).uuid())
            .col(ColumnDef::new(Mails::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(Mails::UsefulUntil).big_integer().not_null())
            .col(ColumnDef::new(Mails::NextAt).big_integer())
            .col(ColumnDef::new(Mails::Attempts).integer().not_null())
            .col(ColumnDef::new(Mails::TextNotedAt).big_integer())
            .col(ColumnDef::new(Mails::DoneAt).big_integer())
            .col(ColumnDef::new(Mails::Outcome).text())
            .col(ColumnDef::new(Mails::Error).text())
            .to_owned();
        manager.create_table(table).await?;
        for (name, column) in [
            ("mails_next", Mails::NextAt),
            ("mails_created", Mails::CreatedAt),
            ("mails_user", Mails::UserId),
        ] {
            let index = Index::create().name(name).table(Mails::Table).col(column).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Mails::Table).to_owned()).await
    }
}
