//! Statistics for operators: one row per node, written while somebody watches, and one for what is
//! counted once for all nodes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum NodeStats {
    Table,
    Node,
    At,
    Logins,
    Failures,
    Devices,
    CountedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(NodeStats::Table)
            .col(ColumnDef::new(NodeStats::Node).uuid().not_null().primary_key())
            .col(ColumnDef::new(NodeStats::At).big_integer().not_null())
            .col(ColumnDef::new(NodeStats::Logins).big_integer().not_null().default(0))
            .col(ColumnDef::new(NodeStats::Failures).big_integer().not_null().default(0))
            .col(ColumnDef::new(NodeStats::Devices).big_integer().not_null().default(0))
            .col(ColumnDef::new(NodeStats::CountedAt).big_integer().not_null().default(0))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(NodeStats::Table).to_owned()).await
    }
}
