//! A commit as one statement after another, in a transaction that is there already: what every database can
//! do.

use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Commit;
use super::writes::Writes;

/// False when the version is another, or a session was not as it was thought to be: some may be stored by
/// then, so the transaction must be rolled back.
pub(super) async fn store(
    transaction: &DatabaseTransaction,
    commit: Commit,
    stamp: SimpleExpr,
) -> Result<bool, DbErr> {
    let writes = Writes::of(commit, stamp);
    if transaction.execute(&writes.advance).await?.rows_affected() != 1 {
        return Ok(false);
    }
    for ends in writes.endings {
        if transaction.execute(&ends.update).await?.rows_affected() != ends.count {
            return Ok(false);
        }
    }
    for rotation in writes.rotations {
        transaction.execute(&rotation).await?;
    }
    for deletion in writes.deletions {
        transaction.execute(&deletion).await?;
    }
    for insertion in writes.insertions {
        transaction.execute(&insertion.into_statement()?).await?;
    }
    Ok(true)
}
