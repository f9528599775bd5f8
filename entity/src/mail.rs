//! `mails`: one row a mail, from the change it tells of until a week after it was sent. No code and no words
//! are in it.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    /// UUIDv7; part of the `Message-ID`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What it says: the name of the templates.
    pub kind: String,
    /// The account it is about, where that is known.
    pub user_id: Option<Uuid>,
    /// Where it goes; none: to the account's address.
    pub address: Option<String>,
    /// Language, where it is not the account's.
    pub locale: Option<String>,
    /// JSON: what the templates are filled with. Never a code.
    pub params: String,
    /// The request whose code it carries.
    pub request_id: Option<Uuid>,
    /// When it was written, in ms.
    pub created_at: i64,
    /// It is out of date after this, in ms.
    pub useful_until: i64,
    /// When it may be tried next, in ms: also the end of the lease of the node that has it. None when it is
    /// done.
    pub next_at: Option<i64>,
    /// How often a node took it; what a node writes of it holds only while this is what it was.
    pub attempts: i32,
    /// When a node was about to send its text, in ms: from then on the server may have taken it.
    pub text_noted_at: Option<i64>,
    /// When it was done with, in ms.
    pub done_at: Option<i64>,
    /// `sent`, `failed`, `expired` or `dropped`; set with `done_at`.
    pub outcome: Option<String>,
    /// Class of the latest error, such as `smtp_550` or `timeout`.
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
