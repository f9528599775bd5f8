//! Operators' lists, a page at a time. A page begins after a key, not at a number, so that it is read from an
//! index however far down it is, and stays right while rows come and go.

use std::time::Duration;

use entity::{session, user};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, TransactionTrait,
};
use uuid::Uuid;

use super::rows::{session_of, user_of};
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};

/// Most accounts of an index among which one page is looked for. Where only part of them is wanted, and those
/// lie far down, a page may so be short, and the next one goes on: no page takes long.
pub const SLICE: u64 = 10_000;
/// Most accounts that are found by their addresses and brought into order.
pub const FOUND: u64 = 1_000;
/// For one transaction of PostgreSQL. It would rather read all rows of a role or a state and sort them, where
/// so many of them are wanted; then how long a page takes would depend on how many there are.
const IN_ORDER: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";
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

/// A page of accounts.
#[derive(Clone, Debug)]
pub struct UserRows {
    /// The accounts.
    pub users: Vec<User>,
    /// After which key the next page begins; none where this is the last. The page may hold fewer accounts
    /// than asked for, even none, and go on: see [`SLICE`].
    pub next: Option<(Timestamp, UserId)>,
}

impl Store {
    /// A page of accounts. It reads a bounded number of rows, whatever is filtered by and however the
    /// accounts are spread: an address, or a beginning that few addresses have, is found by the index of
    /// addresses; of other lists a page is looked for in the next [`SLICE`] of the index that fits best.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_users(&self, page: UserPage) -> Result<UserRows, StorageError> {
        if page.email.is_some() && self.is_found_by_address(&page).await? {
            let found = self.found_by_address(&page);
            return self.last_page_of(found, &page).await;
        }
        let slice = slice(&page);
        if self.is_whole_index(&page) {
            return self.last_page_of(slice, &page).await;
        }
        let mut rows = self.last_page_of(of_rows(slice.clone(), SLICE), &page).await?;
        if rows.next.is_none() {
            rows.next = self.end_of(slice).await?;
        }
        Ok(rows)
    }

    /// Whether at most [`FOUND`] addresses are those that are looked for. The index alone tells, erased
    /// accounts among them.
    async fn is_found_by_address(&self, page: &UserPage) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let query = self.by_address(user::Entity::find(), page);
        let one_more = query.select_only().column(user::Column::Email).offset(FOUND).limit(1);
        let found = self.run(async move { one_more.into_tuple::<String>().one(&db).await }).await?;
        Ok(found.is_none())
    }

    fn found_by_address(&self, page: &UserPage) -> Select<user::Entity> {
        let present = user::Entity::find().filter(user::Column::DeletedAt.is_null());
        of_rows(self.by_address(present, page), FOUND)
    }

    /// In the order of the index of addresses, so that no other way to find them is cheaper however few there
    /// seem to be.
    fn by_address(&self, query: Select<user::Entity>, page: &UserPage) -> Select<user::Entity> {
        // A constant orders nothing; the direction that is written behind it must not follow the operator.
        let in_order = if self.is_postgres() { "email USING ~<~, NULL::integer" } else { "email" };
        self.with_email(query, page.email.as_ref()).order_by_asc(Expr::cust(in_order))
    }

    fn with_email(&self, query: Select<user::Entity>, email: Option<&EmailFilter>) -> Select<user::Entity> {
        match email {
            Some(EmailFilter::Exact(email)) => query.filter(user::Column::Email.eq(email.as_str())),
            Some(EmailFilter::Prefix(prefix)) => query
                .filter(self.by_bytes("email", "~>=~", ">=", prefix.clone()))
                .filter(self.by_bytes("email", "~<~", "<", format!("{prefix}{LAST_CHARACTER}"))),
            None => query,
        }
    }

    /// The page among these rows.
    async fn last_page_of(
        &self,
        rows: Select<user::Entity>,
        page: &UserPage,
    ) -> Result<UserRows, StorageError> {
        let db = self.db.clone();
        let mut query = after(newest_first(self.with_email(rows, page.email.as_ref())), page.after);
        if let Some(role) = page.role {
            query = query.filter(of_role(role));
        }
        query = match page.status {
            Some(UserStatus::Active) => query.filter(user::Column::DisabledAt.is_null()),
            Some(UserStatus::Disabled) => query.filter(user::Column::DisabledAt.is_not_null()),
            Some(UserStatus::Unverified) => query.filter(user::Column::EmailVerifiedAt.is_null()),
            None => query,
        };
        let (query, is_postgres) = (query.limit(page.limit + 1), self.is_postgres());
        let work = async move {
            let transaction = db.begin().await?;
            if is_postgres {
                transaction.execute_unprepared(IN_ORDER).await?;
            }
            let rows = query.all(&transaction).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(rows)
        };
        let rows = self.run(work).await?;
        let has_more = rows.len() as u64 > page.limit;
        let kept = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let users = rows.into_iter().take(kept).map(user_of).collect::<Result<Vec<_>, _>>()?;
        let next = users.last().filter(|_| has_more).map(|last| (last.created_at, last.id));
        Ok(UserRows { users, next })
    }

    /// The key of the last row of a slice; none where it is the list's last.
    async fn end_of(&self, slice: Select<user::Entity>) -> Result<Option<(Timestamp, UserId)>, StorageError> {
        let db = self.db.clone();
        let last = slice
            .select_only()
            .columns([user::Column::CreatedAt, user::Column::Id])
            .offset(SLICE - 1)
            .limit(1)
            .into_tuple::<(i64, Uuid)>();
        let last = self.run(async move { last.one(&db).await }).await?;
        Ok(last.map(|(created_at, id)| (Timestamp::from_millis(created_at), UserId::new(id))))
    }

    /// Whether all rows of the index are wanted.
    fn is_whole_index(&self, page: &UserPage) -> bool {
        let filters = [page.email.is_some(), page.role.is_some(), page.status.is_some()];
        match filters {
            [false, false, false] => true,
            [false, true, false] => page.role != Some(Role::Starter),
            [false, false, true] => page.status != Some(UserStatus::Active),
            _ => false,
        }
    }

    /// Compares bytes, whatever the database's collation is.
    fn by_bytes(&self, column: &str, postgres: &str, sqlite: &str, value: String) -> SimpleExpr {
        let operator = if self.is_postgres() { postgres } else { sqlite };
        let place = if self.is_postgres() { "$1" } else { "?" };
        Expr::cust_with_values(format!("{column} {operator} {place}"), [value])
    }

    /// A page of live sessions, with their users. One whose time is up though nobody has ended it yet may be
    /// among them.
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
        let session = |row: session::Model| {
            Ok((UserId::new(row.user_id), session_of(row, page.idle_timeout, self.addresses)?))
        };
        rows.into_iter().map(session).collect()
    }
}

/// The accounts after the page before, in the order of an index that has as few others as may be.
fn slice(page: &UserPage) -> Select<user::Entity> {
    let mut query = user::Entity::find().filter(user::Column::DeletedAt.is_null());
    query = match (page.status, page.role) {
        (Some(UserStatus::Disabled), _) => query.filter(user::Column::DisabledAt.is_not_null()),
        (_, Some(role)) if role != Role::Starter => query.filter(of_role(role)),
        (Some(UserStatus::Unverified), _) => query.filter(user::Column::EmailVerifiedAt.is_null()),
        _ => query,
    };
    after(newest_first(query), page.after)
}

/// The first of these rows, as a table that is filtered further.
fn of_rows(rows: Select<user::Entity>, limit: u64) -> Select<user::Entity> {
    let mut all = user::Entity::find();
    let rows = rows.limit(limit).into_query();
    QueryTrait::query(&mut all).from_clear().from_subquery(rows, user::Entity);
    all
}

fn newest_first(query: Select<user::Entity>) -> Select<user::Entity> {
    query.order_by_desc(user::Column::CreatedAt).order_by_desc(user::Column::Id)
}

fn after(query: Select<user::Entity>, key: Option<(Timestamp, UserId)>) -> Select<user::Entity> {
    let Some((created_at, id)) = key else { return query };
    query.filter(before(
        [user::Column::CreatedAt.into_expr(), user::Column::Id.into_expr()],
        [created_at.millis().into(), id.uuid().into()],
    ))
}

/// As text and not as a parameter: only so is it known to fit the index that leaves most users out.
fn of_role(role: Role) -> SimpleExpr {
    let is = format!("role = '{}'", role.as_str());
    Expr::cust(if role == Role::Starter { is } else { format!("{is} AND role <> 'STARTER'") })
}

/// Rows that come after that key, in falling order.
fn before(columns: [SimpleExpr; 2], key: [SimpleExpr; 2]) -> SimpleExpr {
    Expr::tuple(columns).lt(Expr::tuple(key))
}
