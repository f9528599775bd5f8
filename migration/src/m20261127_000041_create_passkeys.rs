//! Passkeys, keyed by user and credential: a sign-in finds one by the user it names.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Passkeys {
    Table,
    UserId,
    CredentialId,
    Id,
    Name,
    PublicKey,
    Counter,
    BackupEligible,
    BackedUp,
    Transports,
    AddedAt,
    LastUsedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Passkeys::Table)
            .col(ColumnDef::new(Passkeys::UserId).uuid().not_null())
            .col(ColumnDef::new(Passkeys::CredentialId).blob().not_null())
            .col(ColumnDef::new(Passkeys::Id).uuid().not_null())
            .col(ColumnDef::new(Passkeys::Name).text().not_null())
            .col(ColumnDef::new(Passkeys::PublicKey).blob().not_null())
            .col(ColumnDef::new(Passkeys::Counter).big_integer().not_null())
            .col(ColumnDef::new(Passkeys::BackupEligible).boolean().not_null())
            .col(ColumnDef::new(Passkeys::BackedUp).boolean().not_null())
            .col(ColumnDef::new(Passkeys::Transports).text().not_null())
            .col(ColumnDef::new(Passkeys::AddedAt).big_integer().not_null())
            .col(ColumnDef::new(Passkeys::LastUsedAt).big_integer())
            .primary_key(Index::create().col(Passkeys::UserId).col(Passkeys::CredentialId))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Passkeys::Table).to_owned()).await
    }
}
