//! What is to be forgotten is found by its time, and nothing else is.

use std::time::Duration;

use auth_service::domain::ids::UserId;
use auth_service::domain::mail::{CodePurpose, MailKind, MailTo, NewMail};
use auth_service::domain::time::Timestamp;
use auth_service::storage::mail_requests::MailRequest;
use uuid::Uuid;

use crate::support::store::{START, TestStore};
use crate::support::{Database, on_each_database};

on_each_database!(requests_are_kept_for_a_day_and_mails_for_a_week);

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn minus_a_day(now: Timestamp) -> Timestamp {
    now.minus(DAY)
}

async fn requests_are_kept_for_a_day_and_mails_for_a_week(db: Database) {
    let store = TestStore::on(db).await;
    for purpose in CodePurpose::ALL {
        let request = MailRequest {
            id: Uuid::new_v4(),
            purpose,
            address: "ada@example.com".to_owned(),
            user: None,
            created_at: START,
            expires_at: START.plus(purpose.good_for()),
            payload: Some("{}".to_owned()),
        };
        let mail = NewMail {
            id: Uuid::new_v4(),
            kind: MailKind::EmailVerification,
            to: MailTo::Address("ada@example.com".to_owned(), None::<UserId>),
            locale: None,
            values: serde_json::Map::new(),
            request: Some(request.id),
            useful_until: request.expires_at,
        };
        store.add_mail_request(request, vec![mail]).await.unwrap();
    }
    let all = CodePurpose::ALL.len() as i64;
    let count = async |rest: &str| store.count(&format!("SELECT COUNT(*) FROM {rest}")).await;
    let forget = async |now| store.delete_old_mail_requests(minus_a_day(now), now, 1000).await.unwrap();
    // Name and hash of a sign-up wait for no longer than its code is good; an invitation is good for a day.
    assert_eq!(forget(START.plus(HOUR)).await, 0);
    assert_eq!(count("mail_requests WHERE payload IS NOT NULL").await, 1);
    assert_eq!(forget(START.plus(DAY - HOUR)).await, 0);
    assert_eq!(count("mail_requests").await, all);
    assert_eq!(forget(START.plus(DAY)).await as i64, all, "an invitation too");
    assert_eq!(count("mail_requests").await, 0);

    let forget = async |now| store.delete_old_mails(now, 1000).await.unwrap();
    forget(START).await;
    assert_eq!(count("mails").await, all);
    forget(START.plus(Duration::from_millis(1))).await;
    assert_eq!(count("mails").await, 0);
}
