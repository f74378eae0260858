use launcher_core::names::RoomId;
use launcher_runtime::ports::journal::{Intake, Journal, Life};

use super::support::*;

#[tokio::test]
async fn a_life_knows_whether_the_one_before_ended_in_order() {
    let place = Place::new();
    let journal = place.journal();
    assert_eq!(journal.begin().await, Ok(Life { generation: 1, clean: true }));
    journal.end().await.unwrap();
    assert_eq!(journal.begin().await, Ok(Life { generation: 2, clean: true }));
    drop(journal);
    let journal = place.journal();
    assert_eq!(journal.begin().await, Ok(Life { generation: 3, clean: false }));
    assert_eq!(journal.begin().await, Ok(Life { generation: 4, clean: false }));
    journal.end().await.unwrap();
    assert_eq!(place.journal().begin().await, Ok(Life { generation: 5, clean: true }));
}

#[tokio::test]
async fn nothing_is_touched_before_a_life_begins() {
    let place = Place::new();
    let journal = place.journal();
    journal.rest().await;
    assert!(place.files().is_empty());
    assert_eq!(journal.position().await.unwrap_err().code(), "store_unusable");
    assert!(place.files().is_empty());
}

#[tokio::test]
async fn the_position_is_kept_with_the_messages_or_not_at_all() {
    let place = Place::new();
    let journal = place.begun().await;
    let at = |position: &str, events: &[&str]| Intake {
        position: Some(position.to_owned()),
        encrypted_rooms: vec![RoomId::new(position)],
        ..intake(events.iter().copied().map(heard))
    };
    journal.ingest(at("s1", &["$a"])).await.unwrap();
    journal.rest().await;
    place
        .database()
        .execute_batch(
            "CREATE TRIGGER fail BEFORE INSERT ON inbox WHEN NEW.event = '$c'
             BEGIN SELECT RAISE(ABORT, 'no room left'); END",
        )
        .unwrap();
    let failed = journal.ingest(at("s2", &["$b", "$c"])).await.unwrap_err();
    assert_eq!(failed.code(), "store_failed");
    for journal in [&journal, &place.killed().begun().await] {
        assert_eq!(journal.position().await.unwrap().as_deref(), Some("s1"));
        assert_eq!(waiting_events(journal).await, ["$a"]);
        assert_eq!(journal.was_encrypted(&RoomId::new("s2")).await, Ok(false));
    }
}

#[tokio::test]
async fn an_intake_without_a_position_leaves_it_as_it_is() {
    let place = Place::new();
    let journal = place.begun().await;
    assert_eq!(journal.position().await, Ok(None));
    journal.ingest(Intake { position: Some("s1".to_owned()), ..intake([]) }).await.unwrap();
    journal.ingest(intake([heard("$a")])).await.unwrap();
    assert_eq!(journal.position().await.unwrap().as_deref(), Some("s1"));
    assert_eq!(place.journal().position().await.unwrap().as_deref(), Some("s1"));
}

#[tokio::test]
async fn an_encrypted_room_stays_one() {
    let place = Place::new();
    let journal = place.begun().await;
    let (one, two) = (RoomId::new("!one:hs"), RoomId::new("!two:hs"));
    let batch = || Intake { encrypted_rooms: vec![one.clone(), one.clone()], ..intake([]) };
    journal.ingest(batch()).await.unwrap();
    journal.ingest(batch()).await.unwrap();
    for journal in [journal, place.journal()] {
        assert_eq!(journal.was_encrypted(&one).await, Ok(true));
        assert_eq!(journal.was_encrypted(&two).await, Ok(false));
    }
}

#[tokio::test]
async fn a_resting_journal_holds_no_file_and_still_knows_what_is_asked_often() {
    let place = Place::new();
    let journal = place.begun().await;
    let batch = Intake {
        position: Some("s1".to_owned()),
        encrypted_rooms: vec![RoomId::new("!one:hs")],
        ..intake([heard("$a")])
    };
    journal.ingest(batch).await.unwrap();
    assert_ne!(open_files(&place), 0);
    journal.rest().await;
    assert_eq!(journal.position().await.unwrap().as_deref(), Some("s1"));
    assert_eq!(journal.was_encrypted(&RoomId::new("!one:hs")).await, Ok(true));
    assert_eq!(open_files(&place), 0);
    assert_eq!(waiting_events(&journal).await, ["$a"]);
    journal.end().await.unwrap();
    assert_eq!(open_files(&place), 0);
}

#[tokio::test]
async fn a_life_that_was_cut_off_at_work_does_not_hurt_the_next() {
    let place = Place::new();
    place.begun().await;
    let mut works = tokio::task::JoinSet::new();
    for life in 0..30 {
        let journal = place.begun().await;
        for number in 0..10 {
            let journal = journal.clone();
            works.spawn(async move {
                journal.ingest(intake([heard(&format!("${life}-{number}"))])).await.unwrap();
            });
        }
    }
    works.join_all().await;
    assert_eq!(waiting(&place.journal()).await.len(), 300);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_replaced_within_a_life() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.rest().await;
    fs_err::remove_file(place.path()).unwrap();
    assert_eq!(journal.ingest(intake([heard("$a")])).await.unwrap_err().code(), "store_unusable");
    assert!(place.files().is_empty());
    assert_eq!(journal.begin().await, Ok(Life { generation: 1, clean: true }));
}

/// How many files in the place this process has open.
fn open_files(place: &Place) -> usize {
    fs_err::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs_err::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(place.folder()))
        .count()
}
