//! The first load fails, or a commit does: the caller gets the error, and nothing is left behind.

use futures_util::future::join_all;

use crate::actors::messages::ActorError;
use crate::actors::session_status::SessionStatus;
use crate::actors::testing::{Node, Person, Setup, changed, eventually, login};
use crate::clock::new_uuid;
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::reason::EndReason;

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

/// As when the feed of changes starts over: what is being read at that moment may be outdated.
#[actix_web::test]
async fn what_is_doubted_while_it_is_read_is_read_again() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    let slot = node.registry.get(person.user).unwrap();
    let ledger = stored(&node, person.user).await;
    slot.publish(None);
    slot.begin_read();
    node.registry.invalidate_all();
    slot.publish(Some(&ledger));
    assert!(slot.fresh_snapshot().is_none(), "it was read before the doubt");
    slot.begin_read();
    assert!(slot.fresh_snapshot().is_none(), "it is still being read");
    slot.publish(Some(&ledger));
    assert!(slot.fresh_snapshot().is_some(), "and now it was read after the doubt");
    node.present(person).await;
}

/// A version that nobody committed hides real ones that are committed while the ledger is being read.
#[actix_web::test]
async fn news_behind_a_forged_version_is_not_lost() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    let slot = node.registry.get(person.user).unwrap();
    let ledger = stored(&node, person.user).await;
    node.registry.note_change(&changed(person.user, i64::MAX));
    slot.begin_read();
    node.registry.note_change(&changed(person.user, ledger.version + 1));
    slot.publish(Some(&ledger));
    assert!(slot.fresh_snapshot().is_none(), "it was read before the news");
    node.present(person).await;
    assert!(slot.fresh_snapshot().is_some(), "read again, and no more than that is asked for");
}

#[actix_web::test]
async fn a_newcomer_is_read_again_if_there_was_news_since_it_was_stored() {
    let node = Setup::default().start().await;
    let (person, other) = (node.register().await, node.register().await);
    let news = node.registry.news();
    node.registry.insert(stored(&node, person.user).await, news).await;
    let shown = async |user| node.slot(user).snapshot().is_some();
    eventually("it is shown", async || shown(person.user).await).await;
    assert!(node.slot(person.user).fresh_snapshot().is_some());
    node.registry.note_news();
    node.registry.insert(stored(&node, other.user).await, news).await;
    eventually("it is shown", async || shown(other.user).await).await;
    assert!(node.slot(other.user).fresh_snapshot().is_none());
    node.present(other).await;
    assert!(node.slot(other.user).fresh_snapshot().is_some());
}

/// As after a backup was restored: a version that was undone is used again for something else.
#[actix_web::test]
async fn a_version_that_means_something_else_now_is_not_taken_for_the_same() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let other = node.open(person.user).await;
    let before = node.present(person).await.snapshot.version;
    node.intruder()
        .await
        .execute("UPDATE sessions SET ended_at = 1, end_reason = 'logout' WHERE rowid = (SELECT min(rowid) FROM sessions)")
        .await;
    node.registry.invalidate_all();
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::Logout))));
    let other = Person { session: other.id(), token: other.token, ..person };
    assert_eq!(node.present(other).await.snapshot.version, before);
    node.open(person.user).await;
    assert_eq!(stored(&node, person.user).await.live().len(), 2);
}

async fn stored(node: &Node, user: UserId) -> Ledger {
    node.store().load_ledger(user).await.unwrap().unwrap()
}
