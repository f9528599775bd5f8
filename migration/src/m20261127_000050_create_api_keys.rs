//! API keys. A few rows, read as a whole: no index except the key.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum ApiKeys {
    Table,
    Id,
    Name,
    SecretHash,
    Scopes,
    CreatedAt,
    ExpiresAt,
    RevokedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(ApiKeys::Table)
            .col(ColumnDef::new(ApiKeys::Id).text().not_null().primary_key())
            .col(ColumnDef::new(ApiKeys::Name).text())
            .col(ColumnDef::new(ApiKeys::SecretHash).text().not_null())
            .col(ColumnDef::new(ApiKeys::Scopes).text().not_null())
            .col(ColumnDef::new(ApiKeys::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(ApiKeys::ExpiresAt).big_integer())
            .col(ColumnDef::new(ApiKeys::RevokedAt).big_integer())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(ApiKeys::Table).to_owned()).await
    }
}
