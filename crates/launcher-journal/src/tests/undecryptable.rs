use std::time::Duration;

use launcher_core::{
    names::{EventId, RoomId},
    undecryptable::Cause,
};
use launcher_runtime::ports::journal::{Heard, Intake, Journal, Locked, Stamp};

use super::support::*;

fn locked_intake(events: impl IntoIterator<Item = Locked>) -> Intake {
    let with_json = |locked: Locked| {
        let json = format!(r#"{{"event":"{}"}}"#, locked.event);
        (locked, json)
    };
    Intake { locked: events.into_iter().map(with_json).collect(), ..Intake::default() }
}

#[tokio::test]
async fn an_event_waits_for_its_key_across_lives() {
    let place = Place::new();
    let journal = place.begun().await;
    let later = START.plus(Duration::from_secs(1));
    journal.ingest(locked_intake([locked("$b", later), locked("$a", START)])).await.unwrap();
    drop(journal);
    let journal = place.begun().await;
    let expected = [locked("$a", START), locked("$b", later)];
    assert_eq!(journal.undecryptable().await.unwrap(), expected);
    let json = journal.locked_event(&EventId::new("$a")).await.unwrap();
    assert_eq!(json.as_deref(), Some(r#"{"event":"$a"}"#));
    assert_eq!(journal.locked_event(&EventId::new("$c")).await, Ok(None));
}

#[tokio::test]
async fn an_event_that_was_heard_or_need_not_wait_any_longer_is_removed() {
    let place = Place::new();
    let journal = place.begun().await;
    let events = ["$a", "$b", "$c", "$d"].map(|event| locked(event, START));
    journal.ingest(locked_intake(events)).await.unwrap();
    let unwanted = Heard { wanted: false, ..heard("$b") };
    let batch = Intake { unlocked: vec![EventId::new("$c")], ..intake([heard("$a"), unwanted]) };
    journal.ingest(batch).await.unwrap();
    assert_eq!(journal.undecryptable().await.unwrap(), [locked("$d", START)]);
    assert_eq!(journal.locked_event(&EventId::new("$a")).await, Ok(None));
}

#[tokio::test]
async fn an_event_that_is_known_already_does_not_wait_again() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.ingest(locked_intake([locked("$b", START)])).await.unwrap();
    let again = Locked { tries: 9, ..locked("$b", START) };
    journal.ingest(locked_intake([locked("$a", START), again])).await.unwrap();
    assert_eq!(journal.undecryptable().await.unwrap(), [locked("$b", START)]);
}

#[tokio::test]
async fn an_event_is_postponed() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(locked_intake([locked("$a", START), locked("$b", START)])).await.unwrap();
    let postponed = Locked {
        cause: Cause::Withheld("m.unverified".to_owned()),
        tries: 3,
        next_try: START.plus(DAY),
        ..locked("$a", START)
    };
    journal.postpone(&postponed).await.unwrap();
    assert_eq!(journal.undecryptable().await.unwrap(), [postponed, locked("$b", START)]);
}

#[tokio::test]
async fn people_are_told_once_about_a_session_in_a_room() {
    let place = Place::new();
    let journal = place.begun().await;
    let other_session = Locked { session: Some("other".to_owned()), ..locked("$b", START) };
    let other_room = Locked { room: RoomId::new("!other:hs"), ..locked("$c", START) };
    let no_session = Locked { session: None, ..locked("$d", START) };
    let all = [locked("$a", START), other_session, other_room, no_session];
    journal.ingest(locked_intake(all)).await.unwrap();
    journal.noticed(&RoomId::new("!room:hs"), "session").await.unwrap();
    let noticed: Vec<_> =
        journal.undecryptable().await.unwrap().iter().map(|locked| locked.noticed).collect();
    assert_eq!(noticed, [true, false, false, false]);
}

#[tokio::test]
async fn ten_thousand_events_wait_at_most_and_the_oldest_give_way() {
    let place = Place::new();
    let journal = place.begun().await;
    let numbered = |number: u64| locked(&format!("${number}"), Stamp(START.0 + number));
    journal.ingest(locked_intake((0..9_990).map(numbered))).await.unwrap();
    journal.ingest(locked_intake((9_990..10_020).map(numbered))).await.unwrap();
    let all = journal.undecryptable().await.unwrap();
    assert_eq!(all.len(), 10_000);
    assert_eq!(all[0].event, EventId::new("$20"));
}

#[tokio::test]
async fn an_event_that_does_not_open_is_given_up() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(locked_intake([locked("$a", START), locked("$b", START)])).await.unwrap();
    journal.rest().await;
    place
        .database()
        .execute("UPDATE undecryptable SET sealed = x'' WHERE event = '$a'", [])
        .unwrap();
    assert_eq!(journal.locked_event(&EventId::new("$a")).await, Ok(None));
    assert_eq!(journal.undecryptable().await.unwrap(), [locked("$b", START)]);
}

#[tokio::test]
async fn an_event_is_forgotten_when_it_would_be_too_old_to_be_answered() {
    let place = Place::new();
    let journal = place.begun().await;
    let from_the_future = locked("$a", Stamp(u64::MAX));
    let from_the_future = Locked { first_seen: START, ..from_the_future };
    journal.ingest(locked_intake([from_the_future, locked("$b", START)])).await.unwrap();
    place.advance(DAY * 2 - Duration::from_secs(1));
    journal.begin().await.unwrap();
    assert_eq!(journal.undecryptable().await.unwrap().len(), 2);
    place.advance(Duration::from_secs(3));
    journal.begin().await.unwrap();
    assert_eq!(journal.undecryptable().await.unwrap(), []);
}
