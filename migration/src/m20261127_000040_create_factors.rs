//! Second factors: authenticator apps and recovery codes, keyed by user.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Factors {
    Table,
    UserId,
    Kind,
    Sealed,
    CreatedAt,
    LastStep,
    LastUsedAt,
    Failures,
}

#[derive(DeriveIden)]
enum RecoveryCodes {
    Table,
    UserId,
    Hash,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let factors = Table::create()
            .table(Factors::Table)
            .col(ColumnDef::new(Factors::UserId).uuid().not_null())
            .col(ColumnDef::new(Factors::Kind).text().not_null())
            .col(ColumnDef::new(Factors::Sealed).blob().not_null())
            .col(ColumnDef::new(Factors::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(Factors::LastStep).big_integer().not_null().default(0))
            .col(ColumnDef::new(Factors::LastUsedAt).big_integer())
            .col(ColumnDef::new(Factors::Failures).integer().not_null().default(0))
            .primary_key(Index::create().col(Factors::UserId).col(Factors::Kind))
            .to_owned();
        manager.create_table(factors).await?;
        let codes = Table::create()
            .table(RecoveryCodes::Table)
            .col(ColumnDef::new(RecoveryCodes::UserId).uuid().not_null())
            .col(ColumnDef::new(RecoveryCodes::Hash).blob().not_null())
            .col(ColumnDef::new(RecoveryCodes::CreatedAt).big_integer().not_null())
            .primary_key(Index::create().col(RecoveryCodes::UserId).col(RecoveryCodes::Hash))
            .to_owned();
        manager.create_table(codes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RecoveryCodes::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Factors::Table).to_owned()).await
    }
}
