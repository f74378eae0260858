use std::sync::Arc;

use launcher_core::{conversation::Message, names::EventId, secret::Secret, trust::Assurance};
use launcher_runtime::ports::journal::{Intake, Journal, Number, Outcome};

use super::support::*;
use crate::{SqliteJournal, SqliteJournals};

#[tokio::test]
async fn a_wrong_key_changes_no_byte() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    let killed = place.killed();
    journal.end().await.unwrap();
    for place in [place, killed] {
        let before = place.files();
        let wrong = place.journal_with_key(2);
        assert_eq!(wrong.begin().await.unwrap_err().code(), "store_key_wrong");
        assert_eq!(wrong.position().await.unwrap_err().code(), "store_key_wrong");
        assert!(place.files() == before);
        assert_eq!(waiting_events(&place.begun().await).await, ["$a"]);
    }
}

#[tokio::test]
async fn no_file_ever_shows_what_was_said() {
    let place = Place::new();
    let journal = place.begun().await;
    let secret_event = Intake {
        locked: vec![(locked("$c", START), r#"{"ciphertext":"the locked one"}"#.to_owned())],
        ..intake([heard("$a"), heard("$b")])
    };
    journal.ingest(secret_event).await.unwrap();
    journal.keep_answers(Number(1), &[answer("$a", 0), answer("$a", 1)], &[]).await.unwrap();
    journal.keep_answers(Number(2), &[answer("$b", 0)], &[]).await.unwrap();
    journal.answer_done(Number(1), "$a-0").await.unwrap();
    journal.settle(Number(1), Outcome::Done).await.unwrap();
    let said: [&[u8]; 4] = [b"the body of", b"the answer", b"the locked one", b"$thread"];
    assert!(place.shows(b"@alice:hs"));
    assert!(!said.iter().any(|words| place.shows(words)));
    journal.end().await.unwrap();
    assert!(place.shows(b"@alice:hs"));
    assert!(!said.iter().any(|words| place.shows(words)));
}

#[tokio::test]
async fn what_is_settled_is_gone_from_the_file_even_in_its_sealed_form() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a"), heard("$b"), heard("$c")])).await.unwrap();
    for number in 1..=3 {
        journal.keep_answers(Number(number), &[answer("$x", number as u32)], &[]).await.unwrap();
    }
    journal.rest().await;
    let database = place.database();
    let sealed: Vec<Vec<u8>> = database
        .prepare("SELECT sealed FROM inbox UNION ALL SELECT sealed FROM outbox")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    drop(database);
    assert_eq!(sealed.len(), 6);
    assert!(sealed.iter().all(|sealed| place.shows(sealed)));
    for (number, outcome) in [Outcome::Done, Outcome::Skipped, Outcome::GivenUp].iter().enumerate()
    {
        journal.settle(Number(number as i64 + 1), *outcome).await.unwrap();
    }
    journal.end().await.unwrap();
    assert!(!sealed.iter().any(|sealed| place.shows(sealed)));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.keep_answers(Number(1), &[answer("$a", 0)], &[]).await.unwrap();
    let shown =
        format!("{journal:?} {:?} {:?}", SqliteJournals::default(), waiting(&journal).await);
    assert!(shown.contains("journal.db") && shown.contains("$a-0"));
    assert!(!shown.contains("the body of") && !shown.contains("the answer"));
    assert!(!shown.contains("[1, 1"));
}

/// The fixture is a dump of such a file, sealed under the key `[1; 32]`.
#[tokio::test]
async fn a_file_of_version_1_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(include_str!("../../tests/fixtures/0001.sql"))
        .unwrap();
    let journal = SqliteJournal::new(path, &Secret::new([1; 32]), DAY, Arc::new(|| START));
    let life = journal.begin().await.unwrap();
    assert_eq!((life.generation, life.clean), (3, false));
    assert_eq!(journal.position().await.unwrap().as_deref(), Some("s2"));
    let found = waiting(&journal).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].number, Number(2));
    // What it was sent by was not written down then.
    let assurance = Assurance::InTheClear;
    assert_eq!(found[0].message, Message { assurance, ..message("$b") });
    assert_eq!(found[0].tries, 1);
    assert_eq!(found[0].answers, Some(vec![answer("$b", 1)]));
    assert_eq!(journal.undecryptable().await.unwrap(), [locked("$c", START)]);
    let json = journal.locked_event(&EventId::new("$c")).await.unwrap();
    assert_eq!(json.as_deref(), Some(r#"{"type":"m.room.encrypted"}"#));
    let batch = intake([heard("$a"), encrypted("$x", "s", 0), encrypted("$y", "s", 3)]);
    assert_eq!(journal.ingest(batch).await.unwrap().len(), 2);
    assert!(journal.was_encrypted(&message("$a").room).await.unwrap());
}
