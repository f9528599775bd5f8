//! Operators' lists of accounts, a page at a time. A page begins after a key, not at an offset, so that it is
//! read from an index however far down it is, and stays correct while rows are added and removed.

use entity::user;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, TransactionTrait,
};
use uuid::Uuid;

use super::rows::user_of;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};

/// Most accounts of an index that are searched for one page. If only some of them match, and those are
/// far down, a page may therefore be short, and the next one continues: no page takes long.
pub const SLICE: u64 = 4_000;
/// Most accounts that are found by their addresses and then sorted.
pub const FOUND: u64 = 1_000;
/// Set for one transaction of PostgreSQL. It would otherwise prefer to read all rows of a role or a state
/// and sort them, and how long a page takes would depend on how many there are. Disabled plans
/// seem so expensive that it would also compile the query first, which takes 200 ms.
const IN_ORDER: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";
/// Greater than any character of an address.
const LAST_CHARACTER: char = char::MAX;

/// Which addresses match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailFilter {
    /// Only this one.
    Exact(String),
    /// Those with this prefix.
    Prefix(String),
}

/// The status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// It may sign in.
    Active,
    /// An operator has disabled it.
    Disabled,
    /// Its address is not verified.
    Unverified,
}

/// Which accounts to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct UserPage {
    /// By address.
    pub email: Option<EmailFilter>,
    /// By role.
    pub role: Option<Role>,
    /// By status.
    pub status: Option<UserStatus>,
    /// Only those after this one, given by when it was created and its id.
    pub after: Option<(Timestamp, UserId)>,
    /// How many at most.
    pub limit: u64,
}

/// A page of accounts.
#[derive(Clone, Debug)]
pub struct UserRows {
    /// The accounts.
    pub users: Vec<User>,
    /// The key after which the next page begins; `None` if this is the last. The page may have fewer
    /// accounts than requested, even none, without being the last: see [`SLICE`].
    pub next: Option<(Timestamp, UserId)>,
}

impl Store {
    /// A page of accounts. It reads a bounded number of rows, whatever the filter and however the
    /// accounts are distributed: an address, or a prefix that few addresses have, is found by the index
    /// of addresses; for other lists the next [`SLICE`] of the index that fits best is searched.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_users(&self, page: UserPage) -> Result<UserRows, StorageError> {
        if page.email.is_some() && self.is_found_by_address(&page).await? {
            let found = self.found_by_address(&page);
            return self.page_of(found, &page).await;
        }
        let slice = slice(&page);
        if self.is_whole_index(&page) {
            return self.page_of(slice, &page).await;
        }
        let mut rows = self.page_of(of_rows(slice.clone(), SLICE), &page).await?;
        if rows.next.is_none() {
            rows.next = self.end_of(slice).await?;
        }
        Ok(rows)
    }

    /// Whether at most [`FOUND`] addresses match. It reads the index alone, so erased accounts count too.
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

    /// In the order of the index of addresses, so that no other plan is cheaper, however few rows the
    /// planner expects.
    fn by_address(&self, query: Select<user::Entity>, page: &UserPage) -> Select<user::Entity> {
        // The constant orders nothing; it is there because the direction that is appended must not follow
        // the operator.
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

    /// The page, out of these rows.
    async fn page_of(&self, rows: Select<user::Entity>, page: &UserPage) -> Result<UserRows, StorageError> {
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
        let rows = self.read_set(IN_ORDER, query.limit(page.limit + 1)).await?;
        let has_more = rows.len() as u64 > page.limit;
        let kept = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let users = rows.into_iter().take(kept).map(user_of).collect::<Result<Vec<_>, _>>()?;
        let next = users.last().filter(|_| has_more).map(|last| (last.created_at, last.id));
        Ok(UserRows { users, next })
    }

    /// Reads rows; PostgreSQL plans the query with these settings.
    pub(super) async fn read_set<E>(
        &self,
        settings: &'static str,
        query: Select<E>,
    ) -> Result<Vec<E::Model>, StorageError>
    where
        E: EntityTrait<Model: Send + Sync + 'static> + 'static,
    {
        let (db, is_postgres) = (self.db.clone(), self.is_postgres());
        let work = async move {
            let transaction = db.begin().await?;
            if is_postgres {
                transaction.execute_unprepared(settings).await?;
            }
            let rows = query.all(&transaction).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(rows)
        };
        self.run(work).await
    }

    /// The key of the last row of a full slice; `None` if the list ends within the slice.
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
}

/// The accounts after the previous page, in the order of the index that has the fewest others.
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

/// The first of these rows, as a subquery that is filtered further.
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

/// As text and not as a parameter: only then does the planner know that it fits the index that leaves
/// most users out.
fn of_role(role: Role) -> SimpleExpr {
    let is = format!("role = '{}'", role.as_str());
    Expr::cust(if role == Role::Starter { is } else { format!("{is} AND role <> 'STARTER'") })
}

/// Rows after that key, in descending order.
pub(super) fn before(columns: [SimpleExpr; 2], key: [SimpleExpr; 2]) -> SimpleExpr {
    Expr::tuple(columns).lt(Expr::tuple(key))
}
