//! What a journal knows about itself, so that a copy of it is recognized.

use launcher_core::claim::{Claim, Claims};
use launcher_runtime::ports::journal::{Intake, Journal, Number};

use super::support::*;

fn claims() -> Claims {
    let claim = Claim { device: "D".into(), generation: 7, life: "name".into() };
    Claims { last: Some(claim), next: None }
}

#[tokio::test]
async fn claims_survive_a_kill() {
    let place = Place::new();
    let journal = place.begun().await;
    assert_eq!(journal.claims().await.unwrap(), Claims::default());
    journal.keep_claims(&claims()).await.unwrap();
    let journal = place.killed().begun().await;
    assert_eq!(journal.claims().await.unwrap(), claims());
}

#[tokio::test]
async fn an_answer_is_known_from_before_its_first_attempt() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.begin_fresh().await.unwrap();
    journal.ingest(intake([heard("$a")])).await.unwrap();
    assert!(!journal.is_own("$a-0", START).await.unwrap());
    journal.keep_answers(Number(1), &[answer("$a", 0)], &[]).await.unwrap();
    journal.sending("notice").await.unwrap();
    let copy = place.killed();
    let journal = copy.begun().await;
    for (transaction, own) in [("$a-0", true), ("notice", true), ("other", false)] {
        assert_eq!(journal.is_own(transaction, START).await.unwrap(), own, "{transaction}");
    }
    // Nobody is accused of what is too long ago to be remembered.
    copy.advance(DAY * 10);
    assert!(journal.is_own("other", START).await.unwrap());
}

#[tokio::test]
async fn a_journal_that_may_stand_beside_an_older_device_accuses_nobody_of_what_was_before() {
    let place = Place::new();
    let journal = place.begun().await;
    assert!(journal.is_own("other", START).await.unwrap());
    journal.begin_fresh().await.unwrap();
    assert!(!journal.is_own("other", START).await.unwrap());
}

#[tokio::test]
async fn what_is_sent_again_is_remembered_from_then_on() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.begin_fresh().await.unwrap();
    journal.sending("late").await.unwrap();
    place.advance(DAY * 9);
    journal.sending("late").await.unwrap();
    journal.end().await.unwrap();
    let journal = place.begun().await;
    assert!(journal.is_own("late", START.plus(DAY * 9)).await.unwrap());
}

#[tokio::test]
async fn positions_that_lie_behind_are_known() {
    let place = Place::new();
    let journal = place.begun().await;
    for number in 0..600 {
        let position = Some(format!("s{number}"));
        journal.ingest(Intake { position, ..Intake::default() }).await.unwrap();
    }
    for (position, passed) in [("s599", false), ("s600", false), ("s598", true), ("s99", true)] {
        assert_eq!(journal.is_passed(position).await.unwrap(), passed, "{position}");
    }
    assert!(!journal.is_passed("s98").await.unwrap());
}

#[tokio::test]
async fn another_key_opens_everything_after_resealing_and_the_old_one_nothing() {
    let place = Place::new();
    let journal = place.begun().await;
    let locked = (locked("$locked", START), "encrypted".to_owned());
    let batch = Intake { locked: vec![locked], ..intake([heard("$a"), heard("$b")]) };
    journal.ingest(batch).await.unwrap();
    journal.keep_answers(Number(1), &[answer("$a", 0)], &[]).await.unwrap();
    let sent = super::outgoing::record(Some("$sent"));
    journal.keep_outgoing("key", &sent).await.unwrap();
    let before = waiting(&journal).await;
    drop(journal);
    let old = launcher_core::secret::Secret::new([1; 32]);
    place.journal_with_key(2).reseal(&old).await.unwrap();
    // Twice, as after a kill.
    let journal = place.journal_with_key(2);
    journal.reseal(&old).await.unwrap();
    journal.begin().await.unwrap();
    assert_eq!(waiting(&journal).await, before);
    let event = launcher_core::names::EventId::new("$locked");
    assert_eq!(journal.locked_event(&event).await.unwrap().as_deref(), Some("encrypted"));
    assert_eq!(journal.outgoing("key").await.unwrap(), Some(sent));
    drop(journal);
    assert_eq!(place.journal().begin().await.unwrap_err().code(), "store_key_wrong");
}
