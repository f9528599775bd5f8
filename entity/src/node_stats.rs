//! `node_stats`: what each node counts while somebody watches, and, in the row of the nil UUID, what is
//! counted once for all nodes.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node_stats")]
pub struct Model {
    /// The node's process; nil for the shared row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: Uuid,
    /// When it was written, in ms; in the shared row: until when somebody watches.
    pub at: i64,
    /// Logins and sign-ups of the last minute; in the shared row: live sessions.
    pub logins: i64,
    /// Failed logins of the last minute; in the shared row: users with a live session.
    pub failures: i64,
    /// Connected devices; in the shared row: users.
    pub devices: i64,
    /// In the shared row: when these are next counted, at the earliest, in ms.
    #[sea_orm(column_name = "counted_at")]
    pub next_count_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
