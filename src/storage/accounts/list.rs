//! Listing accounts for the command line.

use std::collections::HashMap;

use entity::{session, user};
use sea_orm::sea_query::{Expr, Func, SimpleExpr};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};
use crate::storage::rows::user_of;
use crate::storage::{StorageError, Store};

/// Which accounts to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of address or name, in lower case.
    pub search: Option<String>,
    /// Role.
    pub role: Option<Role>,
    /// Only disabled ones.
    pub disabled: bool,
    /// Only those after this address.
    pub after: String,
    /// How many at most.
    pub limit: u64,
}

impl Store {
    /// Accounts in order of their addresses.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_users(&self, wanted: UserFilter) -> Result<Vec<User>, StorageError> {
        let db = self.db.clone();
        let mut query = user::Entity::find()
            .filter(user::Column::DeletedAt.is_null())
            .filter(user::Column::Email.gt(wanted.after))
            .order_by_asc(user::Column::Email)
            .limit(wanted.limit);
        if let Some(text) = wanted.search {
            // Not LIKE: the text may contain its wildcards.
            let position = if self.is_postgres() { "strpos" } else { "instr" };
            let holds = |column: user::Column| {
                let lower: SimpleExpr = Func::lower(Expr::col(column)).into();
                Expr::from(Func::cust(position).arg(lower).arg(text.as_str())).gt(0)
            };
            let found = Condition::any().add(holds(user::Column::Email)).add(holds(user::Column::Name));
            query = query.filter(found);
        }
        if let Some(role) = wanted.role {
            query = query.filter(user::Column::Role.eq(role.as_str()));
        }
        if wanted.disabled {
            query = query.filter(user::Column::DisabledAt.is_not_null());
        }
        let rows = self.run(async move { query.all(&db).await }).await?;
        rows.into_iter().map(user_of).collect()
    }

    /// The same users with the latest activity of any of their sessions, which a user's row gets only
    /// with the next change.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn with_latest_activity(&self, mut users: Vec<User>) -> Result<Vec<User>, StorageError> {
        let db = self.db.clone();
        let ids: Vec<Uuid> = users.iter().map(|user| user.id.uuid()).collect();
        let latest = session::Entity::find()
            .select_only()
            .column(session::Column::UserId)
            .column_as(session::Column::LastActivity.max(), "latest")
            .filter(session::Column::UserId.is_in(ids))
            .group_by(session::Column::UserId)
            .into_tuple::<(Uuid, i64)>();
        let latest = self.run(async move { latest.all(&db).await }).await?;
        let latest: HashMap<Uuid, i64> = latest.into_iter().collect();
        for user in &mut users {
            let of_sessions = latest.get(&user.id.uuid()).copied().map(Timestamp::from_millis);
            user.last_activity_at =
                of_sessions.map_or(user.last_activity_at, |at| user.last_activity_at.max(at));
        }
        Ok(users)
    }
}
