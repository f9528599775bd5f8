//! A commit as one statement, for PostgreSQL: one round trip instead of one for each statement, one to
//! begin and one to commit, and the user's row is locked only while the database works, not while the
//! network does.
//!
//! ```sql
//! WITH held   AS (lock the user's row, if its version is the one decided on),
//!      timely AS (held, if the deadline has not passed by then),
//!      live   AS (lock the sessions that end, given timely, if they are in the expected state),
//!      moved  AS (advance the version, if timely has the user and live has all sessions),
//!      …      AS (all other writes, given moved)
//! SELECT FROM moved
//! ```
//!
//! `live` is present only if sessions end. Everything depends on `moved`: if that has no row nothing was
//! written, and no error was raised either. PostgreSQL waits for a row that another transaction is
//! changing and re-evaluates it (READ COMMITTED), as in separate statements. The clock is read when the
//! wait is over, because a transaction that held the row and changed nothing causes no re-evaluation.

use entity::{session, user};
use sea_orm::sea_query::{
    CommonTableExpression, Condition, Expr, ExprTrait, IntoIden, LockType, Order, Query, SelectStatement,
    SubQueryStatement, WithClause, WithQuery,
};
use sea_orm::{ConnectionTrait, DbErr};

use super::writes::{EndStatement, Writes};
use super::{Commit, CommitMode};
use crate::storage::database_clock::NOW;

const HELD: &str = "held";
const TIMELY: &str = "timely";
const LIVE: &str = "live";
const MOVED: &str = "moved";

/// False if the version has changed, a session was not in the expected state, or the deadline has passed:
/// nothing was stored then.
pub(super) async fn store(
    db: &impl ConnectionTrait,
    commit: Commit,
    mode: CommitMode,
) -> Result<bool, DbErr> {
    let statement = statement(Writes::of(commit, mode.stamp), mode.deadline)?;
    Ok(db.query_one(&statement).await?.is_some())
}

fn statement(writes: Writes, deadline: Option<i64>) -> Result<WithQuery, DbErr> {
    let Writes { holder, mut advance, endings, rotations, deletions, insertions } = writes;
    let held = one().from(user::Entity).cond_where(holder).lock(LockType::NoKeyUpdate).take();
    let in_time = deadline.map_or(Expr::value(true), |deadline| Expr::cust(NOW).lte(deadline));
    let timely = one().from(HELD).and_where(in_time).take();
    let mut with = WithClause::new();
    // Materialized, so that it is not evaluated before the row is held.
    with.cte(part(HELD, held)).cte(part(TIMELY, timely).materialized(true).to_owned());
    advance.and_where(Expr::exists(one().from(TIMELY).take()));
    if !endings.is_empty() {
        let live = one()
            .from(session::Entity)
            .from(TIMELY)
            .cond_where(any_of(&endings))
            // In the order of their keys, as activity is written, so that two transactions cannot
            // deadlock.
            .order_by((session::Entity, session::Column::Id), Order::Asc)
            .lock_with_tables(LockType::NoKeyUpdate, [session::Entity])
            .take();
        with.cte(part(LIVE, live));
        let live = Query::select().expr(Expr::cust("COUNT(*)")).from(LIVE).take();
        let wanted: i64 = endings.iter().map(|ends| ends.count.cast_signed()).sum();
        advance.and_where(Expr::from(SubQueryStatement::from(live)).eq(wanted));
    }
    with.cte(part(MOVED, advance.returning(Query::returning().expr(Expr::cust("1"))).take()));
    let updates = endings.into_iter().map(|ends| ends.update).chain(rotations);
    for (number, mut update) in updates.enumerate() {
        with.cte(part(format!("changed_{number}"), update.from(MOVED).take()));
    }
    for (number, mut deletion) in deletions.into_iter().enumerate() {
        let deletion = deletion.and_where(Expr::exists(one().from(MOVED).take())).take();
        with.cte(part(format!("deleted_{number}"), deletion));
    }
    for (number, insertion) in insertions.into_iter().enumerate() {
        with.cte(part(format!("added_{number}"), insertion.into_statement_given(MOVED)?));
    }
    Ok(with.query(one().from(MOVED).take()))
}

fn part(name: impl IntoIden, query: impl Into<SubQueryStatement>) -> CommonTableExpression {
    CommonTableExpression::new().table_name(name).query(query.into()).to_owned()
}

/// For a query of which only matters whether it has a row.
fn one() -> SelectStatement {
    Query::select().expr(Expr::cust("1")).take()
}

fn any_of(endings: &[EndStatement]) -> Condition {
    endings.iter().fold(Condition::any(), |any, ends| any.add(ends.condition.clone()))
}
