//! Endings on PostgreSQL: each answer is one statement, so the position it leads to is that of its own
//! snapshot.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value};

use super::{Endings, MAX_ROWS, Place, Row, complete, in_order};
use crate::clock::Moment;
use crate::domain::time::Timestamp;
use crate::storage::StorageError;
use crate::storage::changes::REASSIGNED_IDS;

/// The first row describes the database, each of the others a session.
const HEAD: &str = "\
    SELECT NULL::uuid, NULL::uuid, NULL::text, NULL::bigint, NULL::bigint, ends_at, \
        ARRAY(SELECT id::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS id) AS in_progress, \
        pg_is_in_recovery() AS standby";
const SNAPSHOT: &str = "\
    snapshot AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS ends_at)";

/// OFFSET 0 makes PostgreSQL scan the index once for each user's sessions, however many users there may
/// be.
fn after_statement() -> String {
    format!(
        "WITH {SNAPSHOT}, changed AS MATERIALIZED (\
            SELECT id FROM users WHERE change_stamp = ANY($1) \
            UNION ALL \
            SELECT id FROM users WHERE change_stamp >= $2 AND change_stamp < (SELECT ends_at FROM snapshot) \
            LIMIT $3) \
        {HEAD}, (SELECT COUNT(*) FROM changed) AS changed FROM snapshot \
        UNION ALL \
        SELECT found.*, NULL, NULL, NULL, NULL FROM changed CROSS JOIN LATERAL (\
            SELECT user_id, sessions.id, end_reason, tokens_expire_at, ended_at FROM sessions \
            WHERE user_id = changed.id AND ended_at IS NOT NULL AND tokens_expire_at >= $4 OFFSET 0) AS found"
    )
}

fn since_statement() -> String {
    format!(
        "WITH {SNAPSHOT} {HEAD}, 0::bigint AS changed FROM snapshot \
        UNION ALL \
        SELECT latest.*, NULL, NULL, NULL, NULL FROM (\
            SELECT user_id, id, end_reason, tokens_expire_at, ended_at FROM sessions \
            WHERE ended_at >= $1 ORDER BY ended_at DESC LIMIT $2) AS latest"
    )
}

/// `None` if the position is not of this server, or there are too many endings.
pub(super) async fn after(
    db: &DatabaseConnection,
    place: Option<&Place>,
    reaches_back: bool,
    now: Timestamp,
    live_after: Timestamp,
) -> Result<Option<Endings>, StorageError> {
    let Some(Place::Snapshot { ends_at: begins_at, in_progress, .. }) = place else { return Ok(None) };
    let allowance = if reaches_back { REASSIGNED_IDS } else { 0 };
    let values: [Value; 4] = [
        in_progress.clone().into(),
        (begins_at - allowance).into(),
        (MAX_ROWS as i64 + 1).into(),
        live_after.millis().into(),
    ];
    let answer = ask(db, &after_statement(), values, now).await?;
    if answer.changed > MAX_ROWS as i64 || answer.rows.len() > MAX_ROWS || answer.ends_at < *begins_at {
        return Ok(None);
    }
    let mut rows = answer.rows;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.at));
    Ok(Some(Endings { ended: in_order(rows), place: answer.place, asked: answer.asked, since: None }))
}

pub(super) async fn since(
    db: &DatabaseConnection,
    now: Timestamp,
    from: Timestamp,
) -> Result<Endings, StorageError> {
    let values: [Value; 2] = [from.millis().into(), (MAX_ROWS as i64 + 1).into()];
    let answer = ask(db, &since_statement(), values, now).await?;
    let (rows, since) = complete(answer.rows, from);
    Ok(Endings { ended: in_order(rows), place: answer.place, asked: answer.asked, since: Some(since) })
}

struct Answer {
    rows: Vec<Row>,
    place: Place,
    ends_at: i64,
    changed: i64,
    asked: Moment,
}

async fn ask<const N: usize>(
    db: &DatabaseConnection,
    sql: &str,
    values: [Value; N],
    now: Timestamp,
) -> Result<Answer, StorageError> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let asked = Moment::now();
    let (mut rows, mut head) = (Vec::new(), None);
    for row in db.query_all_raw(statement).await? {
        match row.try_get_by_index::<Option<i64>>(5)? {
            None => rows.push(of_session(&row)?),
            Some(ends_at) => head = Some((ends_at, row)),
        }
    }
    let (ends_at, head) =
        head.ok_or_else(|| DbErr::Custom("the database told nothing of itself".to_owned()))?;
    // A standby may be behind.
    if head.try_get_by_index(7)? {
        return Err(StorageError::Standby);
    }
    let place = Place::Snapshot { ends_at, in_progress: head.try_get_by_index(6)?, time: now };
    Ok(Answer { rows, place, ends_at, changed: head.try_get_by_index(8)?, asked })
}

fn of_session(row: &QueryResult) -> Result<Row, DbErr> {
    Ok(Row::new((
        row.try_get_by_index(0)?,
        row.try_get_by_index(1)?,
        row.try_get_by_index(2)?,
        row.try_get_by_index(3)?,
        row.try_get_by_index(4)?,
    )))
}
