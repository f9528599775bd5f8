//! Applies or reverts migrations without the service: `migration [up|down]`, on `DATABASE_URL`.

use migration::{Migrator, MigratorTrait};
use sea_orm_migration::sea_orm::Database;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let database = Database::connect(url).await?;
    match std::env::args().nth(1).as_deref() {
        None | Some("up") => Migrator::up(&database, None).await?,
        Some("down") => Migrator::down(&database, Some(1)).await?,
        Some(other) => return Err(format!("'{other}' is neither up nor down").into()),
    }
    Ok(())
}
