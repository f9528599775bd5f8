//! Operators' lists: each page is right however it is filtered, and is read from an index, a bounded number
//! of rows of it.

use std::time::Duration;

use auth_service::domain::ids::UserId;
use auth_service::domain::time::Timestamp;
use auth_service::domain::user::{Role, User};
use auth_service::storage::Store;
use auth_service::storage::pages::{EmailFilter, FOUND, SLICE, UserPage, UserStatus};

use crate::support::store::TestStore;
use crate::support::{Database, eventually, on_each_database};

on_each_database!(pages_are_right_however_they_are_filtered);

/// More than a slice, so that pages go on over its end.
const ACCOUNTS: u64 = 2 * SLICE + 500;
const LIMIT: u64 = 50;

/// `old…` are the oldest, so a page of them lies at the list's end; `few…` are a hundred; most others are
/// `many…`.
const SEED_POSTGRES: &str = "\
    INSERT INTO users (id, name, email, password_hash, role, last_activity_at, created_at, updated_at, disabled_at, \
        email_verified_at) \
    SELECT gen_random_uuid(), 'Ada', kind || '.' || n || '@example.com', '', \
        CASE WHEN n % 5000 = 0 THEN 'ADMIN' WHEN n % 10 = 0 THEN 'PRO' ELSE 'STARTER' END, n, n, n, \
        CASE WHEN n % 1000 = 1 THEN 1 END, CASE WHEN n % 5 <> 0 THEN 1 END \
    FROM (SELECT n, CASE WHEN n <= 2000 THEN 'old' WHEN n % 200 = 3 THEN 'few' ELSE 'many' END AS kind \
        FROM generate_series(1::bigint, COUNT) AS n) AS numbers";
const SEED_SQLITE: &str = "\
    WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < COUNT) \
    INSERT INTO users (id, name, email, password_hash, role, last_activity_at, created_at, updated_at, disabled_at, \
        email_verified_at) \
    SELECT randomblob(16), 'Ada', \
        CASE WHEN n <= 2000 THEN 'old' WHEN n % 200 = 3 THEN 'few' ELSE 'many' END || '.' || n || '@example.com', '', \
        CASE WHEN n % 5000 = 0 THEN 'ADMIN' WHEN n % 10 = 0 THEN 'PRO' ELSE 'STARTER' END, n, n, n, \
        CASE WHEN n % 1000 = 1 THEN 1 END, CASE WHEN n % 5 <> 0 THEN 1 END \
    FROM count";

async fn seeded(db: Database) -> TestStore {
    let store = TestStore::on(db).await;
    let seed = if store.is_shared() { SEED_POSTGRES } else { SEED_SQLITE };
    store.execute(&seed.replace("COUNT", &ACCOUNTS.to_string())).await;
    if store.is_shared() {
        store.execute("ANALYZE users").await;
    }
    store
}

fn prefix(text: &str) -> Option<EmailFilter> {
    Some(EmailFilter::Prefix(text.to_owned()))
}

/// Every combination of a few filters.
fn filters() -> Vec<UserPage> {
    let emails = [
        None,
        prefix("old"),
        prefix("few"),
        prefix("m"),
        prefix("nobody"),
        Some(EmailFilter::Exact("few.3@example.com".to_owned())),
        Some(EmailFilter::Exact("old.1001@example.com".to_owned())),
    ];
    let roles = [None, Some(Role::Starter), Some(Role::Pro), Some(Role::Admin)];
    let statuses = [None, Some(UserStatus::Active), Some(UserStatus::Disabled), Some(UserStatus::Unverified)];
    let mut all = Vec::new();
    for email in &emails {
        for role in roles {
            for status in statuses {
                all.push(UserPage { email: email.clone(), role, status, after: None, limit: LIMIT });
            }
        }
    }
    all
}

/// What the account of that number is expected to be.
fn is_wanted(page: &UserPage, user: &User) -> bool {
    let email = user.email.as_str();
    let by_email = match &page.email {
        None => true,
        Some(EmailFilter::Exact(exact)) => email == exact,
        Some(EmailFilter::Prefix(prefix)) => email.starts_with(prefix.as_str()),
    };
    let by_status = match page.status {
        None => true,
        Some(UserStatus::Active) => user.disabled_at.is_none(),
        Some(UserStatus::Disabled) => user.disabled_at.is_some(),
        Some(UserStatus::Unverified) => user.email_verified_at.is_none(),
    };
    by_email && by_status && page.role.is_none_or(|role| user.role == role)
}

/// All pages of a list, and how many there were.
async fn read(store: &Store, mut page: UserPage) -> (Vec<User>, u64) {
    let (mut users, mut pages) = (Vec::new(), 0);
    loop {
        let rows = store.page_users(page.clone()).await.unwrap();
        assert!(rows.users.len() as u64 <= page.limit);
        users.extend(rows.users);
        pages += 1;
        match rows.next {
            Some(next) => page.after = Some(next),
            None => return (users, pages),
        }
    }
}

fn key(user: &User) -> (Timestamp, UserId) {
    (user.created_at, user.id)
}

async fn pages_are_right_however_they_are_filtered(db: Database) {
    let store = seeded(db).await;
    let (all, _) = read(&store, UserPage { limit: 200, ..UserPage::default() }).await;
    assert_eq!(all.len() as u64, ACCOUNTS);
    assert!(all.is_sorted_by(|a, b| key(a) > key(b)));
    for page in filters().into_iter().filter(|page| page.email.is_some() || page.status.is_some()) {
        let limit = 200;
        let wanted: Vec<_> = all.iter().filter(|user| is_wanted(&page, user)).map(key).collect();
        let (found, pages) = read(&store, UserPage { limit, ..page.clone() }).await;
        let found: Vec<_> = found.iter().map(key).collect();
        assert!(found == wanted, "{page:?}: {} of {}", found.len(), wanted.len());
        // Short ones are at the end of a slice.
        assert!(pages <= wanted.len() as u64 / limit + 1 + ACCOUNTS / SLICE, "{page:?}: {pages} pages");
    }
}

/// Rows that were read of the table from one end to the other, and by way of an index.
pub(super) async fn counted(store: &TestStore, table: &str) -> (i64, i64) {
    let of = async |column: &str| {
        store
            .count(&format!("SELECT {column}::bigint FROM pg_stat_user_tables WHERE relname = '{table}'"))
            .await
    };
    (of("seq_tup_read").await, of("idx_tup_fetch").await)
}

/// PostgreSQL counts what is read of a table; a connection reports it at its end at the latest.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres_every_page_reads_few_rows_of_an_index() {
    let seeded = seeded(Database::Postgres).await;
    let list = |role, status| UserPage { role, status, limit: LIMIT, ..UserPage::default() };
    let whole = vec![
        list(None, None),
        list(Some(Role::Pro), None),
        list(Some(Role::Admin), None),
        list(None, Some(UserStatus::Disabled)),
        list(None, Some(UserStatus::Unverified)),
    ];
    // A list that an index has as it stands is read no further than its page; of others a slice, and its end.
    for (pages, bound) in [(whole, LIMIT + 1), (filters(), 2 * SLICE + 3 * FOUND)] {
        for page in pages {
            let before = counted(&seeded, "users").await;
            let store = seeded.open_again().await.unwrap();
            let rows = store.page_users(page.clone()).await.unwrap();
            store.close().await;
            let (whole, by_index) = eventually("it is counted", Duration::from_secs(10), async || {
                let now = counted(&seeded, "users").await;
                let read = (now.0 - before.0, now.1 - before.1);
                let least = i64::try_from(rows.users.len()).unwrap();
                if read.0 + read.1 >= least { Ok(read) } else { Err(format!("{read:?}")) }
            })
            .await;
            assert_eq!(whole, 0, "{page:?}: the table was read from one end to the other");
            assert!(by_index <= bound.cast_signed(), "{page:?}: {by_index} rows");
        }
    }
}
