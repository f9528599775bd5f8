//! `node_stats`: what each node counts while somebody watches, and, in the row of the nil UUID, what is
//! counted once for all.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node_stats")]
pub struct Model {
    /// The node's process; nil for the row of all.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: Uuid,
    /// When it was written, in ms; of all: until when somebody watches.
    pub at: i64,
    /// Logins and sign-ups of the last minute; of all: live sessions.
    pub logins: i64,
    /// Failed logins of the last minute; of all: users with a live session.
    pub failures: i64,
    /// Connected devices; of all: users.
    pub devices: i64,
    /// Of all: when they were last counted, in ms.
    pub counted_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
