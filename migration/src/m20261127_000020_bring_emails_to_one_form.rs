//! Addresses get their domain in ASCII, the form in which they are looked up from now on:
//! `bücher.example` becomes `xn--bcher-kva.example`. Those that collide with another account, or have no
//! such form, are left unchanged and reported.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::prelude::Uuid;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Addresses with characters that are not ASCII, which the new form cannot have. Stored addresses are in
/// lower case already.
const OLD_POSTGRES: &str =
    "SELECT id, email FROM users WHERE octet_length(email) <> char_length(email) ORDER BY id";
const OLD_SQLITE: &str =
    "SELECT id, email FROM users WHERE length(CAST(email AS BLOB)) <> length(email) ORDER BY id";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let backend = db.get_database_backend();
        let select = if backend == DbBackend::Postgres { OLD_POSTGRES } else { OLD_SQLITE };
        for row in db.query_all_raw(Statement::from_string(backend, select)).await? {
            let (id, email): (Uuid, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let Some(new) = ascii_form(&email) else {
                tracing::warn!(user_id = %id, "migration.email_without_ascii_form");
                continue;
            };
            if let Some(other) = holder(db, &new).await? {
                tracing::warn!(user_id = %id, other_user_id = %other, "migration.email_taken");
                continue;
            }
            let update = "UPDATE users SET email = $1 WHERE id = $2";
            db.execute_raw(Statement::from_sql_and_values(backend, update, [new.into(), id.into()])).await?;
        }
        Ok(())
    }

    /// Both forms lead to the same mailbox and are valid in the previous version, so there is nothing to
    /// revert.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

async fn holder(db: &SchemaManagerConnection<'_>, email: &str) -> Result<Option<Uuid>, DbErr> {
    let select = "SELECT id FROM users WHERE email = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), select, [email.into()]);
    db.query_one_raw(statement).await?.map(|row| row.try_get_by_index(0)).transpose()
}

/// The form that the service makes. It is repeated here, because it must not change with the service.
fn ascii_form(email: &str) -> Option<String> {
    let (mailbox, domain) = email.rsplit_once('@')?;
    let is_hidden = |c: char| matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if !mailbox.is_ascii() || domain.chars().any(is_hidden) {
        return None;
    }
    idna::domain_to_ascii(domain).ok().map(|domain| format!("{mailbox}@{domain}"))
}
