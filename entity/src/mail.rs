//! `mails`: one row per mail, from the change it reports until a week later. It contains no code and no
//! text.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    /// UUIDv7; part of the `Message-ID`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The kind of mail, which names its templates.
    pub kind: String,
    /// The account it is about, where that is known.
    pub user_id: Option<Uuid>,
    /// Where it goes; none means to the account's address.
    pub address: Option<String>,
    /// Language, where it is not the account's.
    pub locale: Option<String>,
    /// JSON: the values for the templates. Never a code.
    pub params: String,
    /// The request whose code it carries.
    pub request_id: Option<Uuid>,
    /// When it was written, in ms.
    pub created_at: i64,
    /// It is out of date after this, in ms.
    pub useful_until: i64,
    /// When it may be tried next, in ms: also the end of the lease of the node that holds it. None when
    /// it is finished.
    pub next_at: Option<i64>,
    /// How often a node leased it; what a node writes about it takes effect only while this is unchanged.
    pub attempts: i32,
    /// When a node was about to send its text, in ms: from then on the server may have accepted it.
    pub text_noted_at: Option<i64>,
    /// When it was finished, in ms.
    pub done_at: Option<i64>,
    /// `sent`, `failed`, `expired` or `dropped`; set with `done_at`.
    pub outcome: Option<String>,
    /// Class of the latest error, such as `smtp_550` or `timeout`.
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
