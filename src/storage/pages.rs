//! Operators' lists, a page at a time. A page begins after a key, not at a number, so that it is read from an index however far
//! down it is, and stays right while rows come and go.

use std::time::Duration;

use entity::{session, user};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::rows::{session_of, user_of};
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};

/// Greater than any character of an address.
const LAST_CHARACTER: char = char::MAX;

/// Whose address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailFilter {
    /// This one.
    Exact(String),
    /// One that begins so.
    Prefix(String),
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// It may sign in.
    Active,
    /// An operator has disabled it.
    Disabled,
    /// Nobody has shown that the address is theirs.
    Unverified,
}

/// Which accounts, newest first.
#[derive(Clone, Debug, Default)]
pub struct UserPage {
    /// By address.
    pub email: Option<EmailFilter>,
    /// By role.
    pub role: Option<Role>,
    /// By status.
    pub status: Option<UserStatus>,
    /// Those after this one, by when it was made and its id.
    pub after: Option<(Timestamp, UserId)>,
    /// How many at most.
    pub limit: u64,
}

/// Which live sessions, the most recently active first.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionPage {
    /// Of one user alone.
    pub user: Option<UserId>,
    /// Those after this one, by its activity and its id.
    pub after: Option<(Timestamp, SessionId)>,
    /// How many at most.
    pub limit: u64,
    /// How long a session lasts of which its row says nothing.
    pub idle_timeout: Duration,
}

impl Store {
    /// A page of accounts.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_users(&self, page: UserPage) -> Result<Vec<User>, StorageError> {
        let db = self.db.clone();
        let query = self.users_query(page);
        let rows = self.run(async move { query.all(&db).await }).await?;
        rows.into_iter().map(user_of).collect()
    }

    fn users_query(&self, page: UserPage) -> Select<user::Entity> {
        let mut query = user::Entity::find()
            .filter(user::Column::DeletedAt.is_null())
            .order_by_desc(user::Column::CreatedAt)
            .order_by_desc(user::Column::Id)
            .limit(page.limit);
        match page.email {
            Some(EmailFilter::Exact(email)) => query = query.filter(user::Column::Email.eq(email)),
            Some(EmailFilter::Prefix(prefix)) => {
                let end = format!("{prefix}{LAST_CHARACTER}");
                query = query.filter(self.by_bytes("email", "~>=~", ">=", prefix));
                query = query.filter(self.by_bytes("email", "~<~", "<", end));
            }
            None => {}
        }
        if let Some(role) = page.role {
            // As text and not as a parameter: only so is it known to fit the index that leaves most users out.
            query = query.filter(Expr::cust(format!("role = '{}'", role.as_str())));
            if role != Role::Starter {
                query = query.filter(Expr::cust("role <> 'STARTER'"));
            }
        }
        query = match page.status {
            Some(UserStatus::Active) => query.filter(user::Column::DisabledAt.is_null()),
            Some(UserStatus::Disabled) => query.filter(user::Column::DisabledAt.is_not_null()),
            Some(UserStatus::Unverified) => query.filter(user::Column::EmailVerifiedAt.is_null()),
            None => query,
        };
        match page.after {
            Some((created_at, id)) => query.filter(before(
                [user::Column::CreatedAt.into_expr(), user::Column::Id.into_expr()],
                [created_at.millis().into(), id.uuid().into()],
            )),
            None => query,
        }
    }

    /// Compares bytes, whatever the database's collation is.
    fn by_bytes(&self, column: &str, postgres: &str, sqlite: &str, value: String) -> SimpleExpr {
        let operator = if self.is_postgres() { postgres } else { sqlite };
        let place = if self.is_postgres() { "$1" } else { "?" };
        Expr::cust_with_values(format!("{column} {operator} {place}"), [value])
    }

    /// A page of live sessions, with their users. One whose time is up though nobody has ended it yet may be among them.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_sessions(&self, page: SessionPage) -> Result<Vec<(UserId, Session)>, StorageError> {
        let db = self.db.clone();
        let mut query = session::Entity::find()
            .filter(session::Column::EndedAt.is_null())
            .order_by_desc(session::Column::LastActivity)
            .order_by_desc(session::Column::Id)
            .limit(page.limit);
        if let Some(user) = page.user {
            query = query.filter(session::Column::UserId.eq(user.uuid()));
        }
        if let Some((last_activity, id)) = page.after {
            query = query.filter(before(
                [session::Column::LastActivity.into_expr(), session::Column::Id.into_expr()],
                [last_activity.millis().into(), id.uuid().into()],
            ));
        }
        let rows = self.run(async move { query.all(&db).await }).await?;
        let session =
            |row: session::Model| Ok((UserId::new(row.user_id), session_of(row, page.idle_timeout)?));
        rows.into_iter().map(session).collect()
    }
}

/// Rows that come after that key, in falling order.
fn before(columns: [SimpleExpr; 2], key: [SimpleExpr; 2]) -> SimpleExpr {
    Expr::tuple(columns).lt(Expr::tuple(key))
}
