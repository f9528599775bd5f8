//! What a commit writes, as statements that are the same for every database; [`super::multi_statement`]
//! and [`super::single_statement`] run them. The user's row is written first: from then on its lock keeps
//! other nodes out, and keeps the outbox in order. No decision touches a session twice, so the order of
//! the others does not matter.

use entity::{factor, mail_request, passkey, recovery_code, session, user};
use sea_orm::sea_query::{
    Alias, Condition, DeleteStatement, Expr, InsertStatement, Query, SimpleExpr, UpdateStatement, ValueTuple,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DbErr, EntityTrait, ExprTrait, Iterable, QueryFilter,
    QueryTrait, UpdateMany, Value,
};
use uuid::Uuid;

use super::Commit;
use super::account_columns::account_columns;
use crate::domain::event::{Ending, LedgerEvent};
use crate::domain::ids::SessionId;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::storage::mail_requests::spend_code;
use crate::storage::mails::mail_rows;
use crate::storage::rows::{generation_column, millis_column, new_session_row, outbox_rows};
use crate::storage::{greater_of, lesser_of};

const ROWS: &str = "rows";

/// The statements of a commit.
pub(super) struct Writes {
    /// The row to lock: the user's, if its version is the one decided on.
    pub(super) holder: Condition,
    /// Advances the version of that row.
    pub(super) advance: UpdateStatement,
    /// Sessions that end.
    pub(super) endings: Vec<EndStatement>,
    /// Sessions whose refresh token is replaced, and codes that are used.
    pub(super) rotations: Vec<UpdateStatement>,
    /// What else is stored about the owner of a deleted account. Sessions have their own retention.
    pub(super) deletions: Vec<DeleteStatement>,
    /// New sessions, and events to other services.
    pub(super) insertions: Vec<Insertion>,
}

/// Sessions that end for one reason.
pub(super) struct EndStatement {
    /// Selects those that are live, and as inactive as they were when this was decided.
    pub(super) condition: Condition,
    /// How many must match.
    pub(super) count: u64,
    /// The statement that ends them.
    pub(super) update: UpdateStatement,
}

/// Rows to insert into one table.
pub(super) struct Insertion {
    /// Names the table and its columns.
    statement: InsertStatement,
    rows: Vec<Vec<Value>>,
}

impl Writes {
    /// The statements that store the decision.
    pub(super) fn of(commit: Commit, stamp: SimpleExpr) -> Self {
        let user = commit.user.uuid();
        let holder = Condition::all()
            .add(user::Column::Id.eq(user))
            .add(user::Column::SessionVersion.eq(commit.decided_on));
        let mut writes = Self {
            advance: advance(&commit, stamp, holder.clone()),
            holder,
            endings: endings(user, &commit.events),
            rotations: Vec::new(),
            deletions: Vec::new(),
            insertions: Vec::new(),
        };
        for event in &commit.events {
            match event {
                LedgerEvent::Opened { session, .. } => {
                    writes.insertions.extend(Insertion::of([new_session_row(commit.user, session)]));
                }
                LedgerEvent::Rotated { session } | LedgerEvent::Renewed { session, .. } => {
                    writes.rotations.push(renewal(user, session));
                }
                LedgerEvent::Reissued { session, tokens_expire_at } => {
                    let update = of_session(user, *session)
                        .col_expr(session::Column::TokensExpireAt, Expr::value(tokens_expire_at.millis()));
                    writes.rotations.push(update.into_query());
                }
                LedgerEvent::AccountDeleted { .. } => writes.deletions.extend(deletions(user)),
                LedgerEvent::CodeSpent { request, at } => {
                    writes.rotations.push(spend_code(*request, *at).into_query())
                }
                LedgerEvent::Mailed(mail) => {
                    writes.insertions.extend(Insertion::of(mail_rows(vec![*mail.clone()], commit.now)));
                }
                LedgerEvent::Ended(_)
                | LedgerEvent::BulkTerminated { .. }
                | LedgerEvent::AccountChanged { .. } => {}
            }
        }
        writes.insertions.extend(Insertion::of(outbox_rows(commit.announcements, commit.now)));
        writes
    }
}

fn advance(commit: &Commit, stamp: SimpleExpr, holder: Condition) -> UpdateStatement {
    let activity = greater_of(Expr::col(user::Column::LastActivityAt), commit.last_activity_at.millis());
    let mut advance = user::Entity::update_many()
        .col_expr(user::Column::SessionVersion, Expr::value(commit.decided_on + 1))
        .col_expr(user::Column::ChangeStamp, stamp)
        .col_expr(user::Column::LastActivityAt, activity)
        .filter(holder);
    if commit.is_rotation {
        let rotations = Expr::col(user::Column::Rotations).add(1);
        advance = advance.col_expr(user::Column::Rotations, rotations);
    }
    account_columns(advance, commit.user, &commit.events).into_query()
}

fn of_session(user: Uuid, session: SessionId) -> UpdateMany<session::Entity> {
    session::Entity::update_many()
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::Id.eq(session.uuid()))
}

/// The columns that a refresh, a new authentication or a new session token sets, besides `ends_at` and
/// `refresh_seen_at`.
pub(super) const RENEWED: [session::Column; 9] = [
    session::Column::Token,
    session::Column::RefreshGeneration,
    session::Column::RefreshFloor,
    session::Column::RefreshedAt,
    session::Column::TokensExpireAt,
    session::Column::IdleTimeoutMs,
    session::Column::ExpiresAt,
    session::Column::AuthTime,
    session::Column::Amr,
];

/// A value for each of [`RENEWED`].
pub(super) fn renewed_values(session: &Session) -> [Value; RENEWED.len()] {
    let Session { token, times, authentication, refresh, tokens_expire_at, .. } = session;
    [
        token.expose().into(),
        generation_column(refresh.generation).into(),
        generation_column(refresh.floor).into(),
        refresh.issued_at.millis().into(),
        tokens_expire_at.millis().into(),
        millis_column(times.idle_timeout).into(),
        times.expires_at.millis().into(),
        authentication.at.millis().into(),
        i32::from(authentication.methods.bits()).into(),
    ]
}

/// `ends_at` keeps its value, and with it an index, unless the session could now end earlier.
fn renewal(user: Uuid, session: &Session) -> UpdateStatement {
    let ends_at = Expr::col((session::Entity, session::Column::EndsAt));
    let renewed = RENEWED.into_iter().zip(renewed_values(session));
    let update = of_session(user, session.id())
        .col_expr(session::Column::RefreshSeenAt, Expr::value(None::<i64>))
        .col_expr(session::Column::EndsAt, lesser_of(ends_at, session.idle_expires_at().millis()));
    renewed.fold(update, |update, (column, value)| update.col_expr(column, Expr::value(value))).into_query()
}

fn deletions(user: Uuid) -> [DeleteStatement; 4] {
    [
        factor::Entity::delete_many().filter(factor::Column::UserId.eq(user)).into_query(),
        passkey::Entity::delete_many().filter(passkey::Column::UserId.eq(user)).into_query(),
        recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user)).into_query(),
        mail_request::Entity::delete_many().filter(mail_request::Column::UserId.eq(user)).into_query(),
    ]
}

/// One for each reason there is (nearly always one), and one for each idle ending.
fn endings(user: Uuid, events: &[LedgerEvent]) -> Vec<EndStatement> {
    let mut all = Vec::new();
    for reason in EndReason::ALL {
        let mut of_reason: Vec<&Ending> =
            events.iter().filter_map(LedgerEvent::ending).filter(|ending| ending.reason == reason).collect();
        // In the order of their keys, as activity is written, so that two transactions cannot deadlock.
        of_reason.sort_unstable_by_key(|ending| ending.session);
        let together = if reason == EndReason::IdleTimeout { 1 } else { of_reason.len().max(1) };
        all.extend(of_reason.chunks(together).filter_map(|group| ends(user, group)));
    }
    all
}

/// Ends sessions that share reason, time and originator. An idle ending takes effect only if no later
/// activity is stored.
fn ends(user: Uuid, group: &[&Ending]) -> Option<EndStatement> {
    let first = group.first()?;
    let mut condition = Condition::all()
        .add(session::Column::UserId.eq(user))
        .add(session::Column::Id.is_in(group.iter().map(|ending| ending.session.uuid())))
        .add(session::Column::EndedAt.is_null());
    if first.reason == EndReason::IdleTimeout {
        condition = condition.add(session::Column::LastActivity.lte(first.last_activity.millis()));
    }
    let update = session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(first.at.millis()))
        .col_expr(session::Column::EndReason, Expr::value(first.reason.as_str()))
        .col_expr(session::Column::EndedBy, Expr::value(first.by.map(SessionId::uuid)))
        .filter(condition.clone());
    Some(EndStatement { condition, count: group.len() as u64, update: update.into_query() })
}

impl Insertion {
    /// `None` if there are no rows. All must have values in the same columns.
    fn of<A: ActiveModelTrait>(models: impl IntoIterator<Item = A>) -> Option<Self> {
        let mut columns = Vec::new();
        let mut rows = Vec::new();
        for mut model in models {
            let row = <A::Entity as EntityTrait>::Column::iter().filter_map(|column| {
                let ActiveValue::Set(value) = model.take(column) else { return None };
                Some((column, value))
            });
            let (of_row, values) = row.unzip();
            columns = of_row;
            rows.push(values);
        }
        let statement = Query::insert().into_table(A::Entity::default()).columns(columns).to_owned();
        (!rows.is_empty()).then_some(Self { statement, rows })
    }

    /// Inserts the rows, in their order.
    ///
    /// # Errors
    /// If a row has more values than another.
    pub(super) fn into_statement(self) -> Result<InsertStatement, DbErr> {
        let Self { mut statement, rows } = self;
        for row in rows {
            statement.values(row.into_iter().map(Expr::value)).map_err(unequal)?;
        }
        Ok(statement)
    }

    /// Inserts the rows, in their order, if `given` has its one row.
    ///
    /// # Errors
    /// If a row has more values than another.
    pub(super) fn into_statement_given(self, given: &'static str) -> Result<InsertStatement, DbErr> {
        let Self { mut statement, rows } = self;
        let mut select = Query::select();
        for place in 1..=rows.first().map_or(0, Vec::len) {
            // PostgreSQL's names for the columns of VALUES.
            select.column((ROWS, Alias::new(format!("column{place}"))));
        }
        select.from(given).from_values(rows.into_iter().map(ValueTuple::Many), ROWS);
        statement.select_from(select).map_err(unequal)?;
        Ok(statement)
    }
}

fn unequal(error: impl std::fmt::Display) -> DbErr {
    DbErr::Custom(error.to_string())
}
