use launcher_core::names::{EventId, RoomId, UserId};
use launcher_runtime::ports::journal::{
    Duplicate::{OtherSender, Replayed, SameEvent},
    Heard, Intake, Journal, Number, Outcome,
};

use super::support::*;

#[tokio::test]
async fn the_same_event_is_taken_in_once_before_and_after_it_is_settled() {
    let place = Place::new();
    let journal = place.begun().await;
    let refused = journal.ingest(intake([heard("$a"), heard("$a")])).await.unwrap();
    assert_eq!(refused, [(EventId::new("$a"), SameEvent)]);
    journal.settle(Number(1), Outcome::Done).await.unwrap();
    journal.end().await.unwrap();
    let journal = place.begun().await;
    let refused = journal.ingest(intake([encrypted("$a", "s", 0)])).await.unwrap();
    assert_eq!(refused, [(EventId::new("$a"), SameEvent)]);
    assert_eq!(waiting(&journal).await, []);
}

#[tokio::test]
async fn a_ciphertext_that_comes_again_under_another_event_id_is_a_replay() {
    let place = Place::new();
    let journal = place.begun().await;
    let unwanted = Heard { wanted: false, ..encrypted("$b", "s", 5) };
    let first = intake([encrypted("$a", "s", 4), unwanted]);
    assert_eq!(journal.ingest(first).await, Ok(vec![]));
    drop(journal);
    let journal = place.begun().await;
    let again = intake([encrypted("$x", "s", 4), encrypted("$y", "s", 5), encrypted("$z", "s", 6)]);
    let refused = journal.ingest(again).await.unwrap();
    assert_eq!(refused, [(EventId::new("$x"), Replayed), (EventId::new("$y"), Replayed)]);
    assert_eq!(waiting_events(&journal).await, ["$a", "$z"]);
}

#[tokio::test]
async fn a_session_belongs_to_the_sender_it_was_first_seen_with() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([encrypted("$a", "s", 0)])).await.unwrap();
    let mut foreign = encrypted("$b", "s", 1);
    foreign.message.sender = UserId::new("@mallory:hs");
    let refused = journal.ingest(intake([foreign, encrypted("$c", "s", 1)])).await.unwrap();
    assert_eq!(refused, [(EventId::new("$b"), OtherSender)]);
    assert_eq!(waiting_events(&journal).await, ["$a", "$c"]);
}

#[tokio::test]
async fn sessions_and_rooms_have_indexes_of_their_own() {
    let place = Place::new();
    let journal = place.begun().await;
    let mut elsewhere = encrypted("$c", "s", 0);
    elsewhere.message.room = RoomId::new("!other:hs");
    let batch = intake([encrypted("$a", "s", 0), encrypted("$b", "t", 0), elsewhere]);
    assert_eq!(journal.ingest(batch).await, Ok(vec![]));
}

#[tokio::test]
async fn what_is_not_wanted_is_not_kept() {
    let place = Place::new();
    let journal = place.begun().await;
    let unwanted = Heard { wanted: false, ..heard("$an-event-of-its-own") };
    journal.ingest(intake([unwanted])).await.unwrap();
    assert_eq!(waiting(&journal).await, []);
    assert!(!place.shows(b"$an-event-of-its-own"));
}

#[tokio::test]
async fn a_refusal_stops_neither_the_others_nor_the_position() {
    let place = Place::new();
    let journal = place.begun().await;
    let batch = Intake {
        position: Some("s1".to_owned()),
        ..intake([heard("$a"), heard("$a"), heard("$b")])
    };
    assert_eq!(journal.ingest(batch).await.unwrap().len(), 1);
    assert_eq!(journal.position().await.unwrap().as_deref(), Some("s1"));
    assert_eq!(waiting_events(&journal).await, ["$a", "$b"]);
}
