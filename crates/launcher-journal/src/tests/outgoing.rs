use std::time::Duration;

use launcher_core::names::{DeviceId, EventId, RoomId};
use launcher_runtime::ports::journal::{Journal, OutgoingRecord};

use super::support::*;

pub(super) fn record(event: Option<&str>) -> OutgoingRecord {
    OutgoingRecord {
        room: RoomId::new("!where:hs"),
        digest: "digest-of-it".into(),
        transaction: "send-1".into(),
        device: DeviceId::new("DEVICE"),
        began: START,
        event: event.map(EventId::new),
    }
}

#[tokio::test]
async fn a_message_is_known_by_its_key_after_a_kill_before_and_after_it_was_sent() {
    let place = Place::new();
    let journal = place.begun().await;
    assert_eq!(journal.outgoing("key").await.unwrap(), None);
    for record in [record(None), record(Some("$e"))] {
        journal.keep_outgoing("key", &record).await.unwrap();
        let journal = place.killed().begun().await;
        assert_eq!(journal.outgoing("key").await.unwrap(), Some(record));
        assert_eq!(journal.outgoing("another").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_about_to_be_sent_is_the_agents_own() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.begin_fresh().await.unwrap();
    assert!(!journal.is_own("send-1", START).await.unwrap());
    journal.keep_outgoing("key", &record(None)).await.unwrap();
    assert!(journal.is_own("send-1", START).await.unwrap());
}

#[tokio::test]
async fn neither_the_key_nor_what_was_sent_where_can_be_read_in_the_file() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_outgoing("invoice 17 of bob", &record(Some("$event"))).await.unwrap();
    journal.end().await.unwrap();
    for text in ["invoice", "!where", "digest-of-it", "send-1", "$event"] {
        assert!(!place.shows(text.as_bytes()), "{text}");
    }
}

#[tokio::test]
async fn a_key_is_remembered_for_thirty_days_also_if_nobody_writes_to_the_agent() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_outgoing("old", &record(Some("$e"))).await.unwrap();
    place.advance(DAY * 20);
    let later = OutgoingRecord { began: START.plus(DAY * 20), ..record(Some("$f")) };
    journal.keep_outgoing("new", &later).await.unwrap();
    place.advance(DAY * 10);
    journal.begin().await.unwrap();
    assert!(journal.outgoing("old").await.unwrap().is_some());
    place.advance(Duration::from_millis(1));
    journal.begin().await.unwrap();
    assert_eq!(journal.outgoing("old").await.unwrap(), None);
    assert!(journal.outgoing("new").await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_that_was_moved_to_another_key_ends_the_agent() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_outgoing("a", &record(Some("$e"))).await.unwrap();
    journal.keep_outgoing("b", &record(None)).await.unwrap();
    journal.rest().await;
    let swap = "UPDATE outgoing SET sealed = (SELECT max(sealed) FROM outgoing)";
    place.database().execute_batch(swap).unwrap();
    let found = [journal.outgoing("a").await, journal.outgoing("b").await];
    let faults: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    assert_eq!(faults.iter().map(|fault| fault.code()).collect::<Vec<_>>(), ["store_corrupt"]);
}
