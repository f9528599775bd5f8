//! A commit as one statement after another, in an existing transaction, as every database can do it.

use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Commit;
use super::writes::Writes;

/// False if the version has changed, or a session was not in the expected state: part may be stored by
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
