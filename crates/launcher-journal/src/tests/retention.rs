use std::time::Duration;

use launcher_runtime::ports::journal::{Intake, Journal, Outcome};

use super::support::*;
use crate::SqliteJournal;

async fn take_in_and_settle(journal: &SqliteJournal, events: impl Iterator<Item = String>) {
    let events: Vec<_> = events.collect();
    for events in events.chunks(10) {
        journal.ingest(intake(events.iter().map(|event| heard(event)))).await.unwrap();
        for queued in waiting(journal).await {
            journal.settle(queued.number, Outcome::Done).await.unwrap();
        }
    }
}

async fn is_remembered(journal: &SqliteJournal, event: &str) -> bool {
    !journal.ingest(intake([heard(event)])).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_settled_message_is_remembered_for_a_day_longer_than_it_could_be_answered() {
    let place = Place::new();
    let journal = place.begun().await;
    take_in_and_settle(&journal, ["$a".to_owned()].into_iter()).await;
    place.advance(DAY * 2);
    journal.begin().await.unwrap();
    assert!(is_remembered(&journal, "$a").await);
    place.advance(Duration::from_millis(1));
    journal.begin().await.unwrap();
    assert!(!is_remembered(&journal, "$a").await);
}

#[tokio::test]
async fn a_message_that_waits_is_never_forgotten() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    place.advance(DAY * 1_000);
    journal.begin().await.unwrap();
    assert_eq!(waiting_events(&journal).await, ["$a"]);
}

#[tokio::test]
async fn one_start_with_a_clock_that_is_a_year_ahead_forgets_nothing() {
    let place = Place::new();
    let journal = place.begun().await;
    take_in_and_settle(&journal, ["$a".to_owned()].into_iter()).await;
    let batch = Intake { locked: vec![(locked("$b", START), "{}".into())], ..Intake::default() };
    journal.ingest(batch).await.unwrap();
    place.advance(DAY * 400);
    journal.begin().await.unwrap();
    assert!(is_remembered(&journal, "$a").await);
    assert_eq!(journal.undecryptable().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_is_recognized_when_its_event_is_long_forgotten() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([encrypted("$a", "s", 0)])).await.unwrap();
    journal.settle(waiting(&journal).await[0].number, Outcome::Done).await.unwrap();
    place.advance(DAY * 1_000);
    journal.begin().await.unwrap();
    assert!(!journal.ingest(intake([encrypted("$a", "s", 0)])).await.unwrap().is_empty());
    assert!(waiting(&journal).await.is_empty());
}

#[tokio::test]
async fn the_file_shrinks_when_much_is_forgotten() {
    let place = Place::new();
    let journal = place.begun().await;
    take_in_and_settle(&journal, (0..6_000).map(|number| format!("${number}"))).await;
    journal.end().await.unwrap();
    let full = place.size();
    place.advance(DAY * 3);
    journal.begin().await.unwrap();
    journal.end().await.unwrap();
    assert!(place.size() * 4 < full, "{} of {full}", place.size());
}

#[tokio::test]
async fn over_many_days_the_file_does_not_grow() {
    let place = Place::new();
    let journal = place.begun().await;
    let mut sizes = Vec::new();
    for day in 0..20 {
        take_in_and_settle(&journal, (0..1_000).map(|number| format!("${day}-{number}"))).await;
        place.advance(DAY);
        journal.rest().await;
        sizes.push(place.size());
    }
    // The fourth day is the first that ends with days forgotten.
    assert!(sizes[4..].iter().all(|&size| size * 2 <= sizes[3] * 3), "{sizes:?}");
}

#[tokio::test]
async fn the_write_ahead_log_stays_small() {
    let place = Place::new();
    let journal = place.begun().await;
    let wal =
        || place.files().into_iter().find(|(name, _)| name.ends_with("-wal")).unwrap().1.len();
    journal.ingest(intake((0..10_000).map(|number| heard(&format!("${number}"))))).await.unwrap();
    let large = wal();
    for round in 0..300 {
        let events = (0..20).map(|number| heard(&format!("${round}-{number}")));
        journal.ingest(intake(events)).await.unwrap();
    }
    assert!(large > 2 << 20 && wal() < 3 << 19, "{large}, then {}", wal());
}
