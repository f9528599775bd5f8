//! Requested codes: found by their random id, deleted by when they expire.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum MailRequests {
    Table,
    Id,
    Purpose,
    Address,
    UserId,
    CreatedAt,
    ExpiresAt,
    Tries,
    UsedAt,
    Payload,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(MailRequests::Table)
            .col(ColumnDef::new(MailRequests::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(MailRequests::Purpose).text().not_null())
            .col(ColumnDef::new(MailRequests::Address).text().not_null())
            .col(ColumnDef::new(MailRequests::UserId).uuid())
            .col(ColumnDef::new(MailRequests::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(MailRequests::ExpiresAt).big_integer().not_null())
            .col(ColumnDef::new(MailRequests::Tries).integer().not_null())
            .col(ColumnDef::new(MailRequests::UsedAt).big_integer())
            .col(ColumnDef::new(MailRequests::Payload).text())
            .to_owned();
        manager.create_table(table).await?;
        for (name, column) in
            [("mail_requests_expiry", MailRequests::ExpiresAt), ("mail_requests_user", MailRequests::UserId)]
        {
            let index = Index::create().name(name).table(MailRequests::Table).col(column).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(MailRequests::Table).to_owned()).await
    }
}
