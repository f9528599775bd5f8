//! The first load fails, or a commit does: the asker hears it, and nothing is left behind.

use futures_util::future::join_all;

use crate::actors::messages::ActorError;
use crate::actors::testing::{Setup, eventually, login};
use crate::clock::new_uuid;
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;

#[actix_web::test]
async fn everyone_who_waits_hears_that_the_load_failed_and_the_next_ask_works() {
    let node = Setup { max_residents: 1, ..Setup::default() }.start().await;
    let person = node.register().await;
    node.lose_database().await;
    let answers = join_all((0..20).map(|_| node.registry.ask(person.user, login()))).await;
    for answer in answers {
        assert!(matches!(answer, Err(ActorError::Unavailable(_))), "{answer:?}");
    }
    node.find_database().await;
    node.open(person.user).await;
    assert_eq!(node.present(person).await.snapshot.live().len(), 2);
}

#[actix_web::test]
async fn an_actor_that_could_not_load_does_not_stay() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.lose_database().await;
    node.registry.ask(person.user, EndOverdue).await.unwrap_err();
    eventually("it is gone", async || node.registry.resident_count() == 0).await;
    eventually("it gave its room back", async || node.metrics().resident_users.get() == 0).await;
}

#[actix_web::test]
async fn a_user_who_does_not_exist_takes_no_room() {
    let node = Setup { max_residents: 1, ..Setup::default() }.start().await;
    for _ in 0..3 {
        let answer = node.registry.ask(UserId::new(new_uuid()), EndOverdue).await;
        assert!(matches!(answer, Err(ActorError::NoSuchUser)), "{answer:?}");
    }
    eventually("all are gone", async || node.registry.resident_count() == 0).await;
}

#[actix_web::test]
async fn a_commit_that_fails_changes_nothing() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let before = node.present(person).await.snapshot.version;
    let intruder = node.intruder().await;
    intruder
        .execute("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .await;
    let answer = node.registry.ask(person.user, login()).await;
    assert!(matches!(answer, Err(ActorError::Unavailable(_))), "{answer:?}");
    let waiting = node.store().outbox_backlog().await.unwrap().0;
    let shown = node.present(person).await.snapshot;
    assert_eq!((shown.version, shown.live().len()), (before, 1));
    intruder.execute("DROP TRIGGER broken").await;
    node.open(person.user).await;
    let shown = node.present(person).await.snapshot;
    assert_eq!((shown.version, shown.live().len()), (before + 1, 2));
    assert_eq!(node.store().outbox_backlog().await.unwrap().0, waiting + 2);
}
