//! Users: email is unique, and `change_stamp` is indexed for the feed of changes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Name,
    Email,
    PasswordHash,
    Role,
    SessionVersion,
    ChangeStamp,
    LastActivityAt,
    CreatedAt,
    UpdatedAt,
    DeletedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Users::Table)
            .col(ColumnDef::new(Users::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Users::Name).text().not_null())
            .col(ColumnDef::new(Users::Email).text().not_null().unique_key())
            .col(ColumnDef::new(Users::PasswordHash).text().not_null())
            .col(ColumnDef::new(Users::Role).text().not_null())
            .col(ColumnDef::new(Users::SessionVersion).big_integer().not_null().default(0))
            .col(ColumnDef::new(Users::ChangeStamp).big_integer().not_null().default(0))
            .col(ColumnDef::new(Users::LastActivityAt).big_integer().not_null())
            .col(ColumnDef::new(Users::CreatedAt).big_integer().not_null())
            .col(ColumnDef::new(Users::UpdatedAt).big_integer().not_null())
            .col(ColumnDef::new(Users::DeletedAt).big_integer())
            .to_owned();
        manager.create_table(table).await?;
        let index =
            Index::create().name("users_change_stamp").table(Users::Table).col(Users::ChangeStamp).to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Users::Table).to_owned()).await
    }
}
