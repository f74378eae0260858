use std::{os::unix::fs::PermissionsExt, time::Duration};

use fs_err as fs;
use launcher_core::{
    agent::AgentId,
    fault::Fault,
    secret::Secret,
    spec::{
        Account, AgentSpec, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network, TrustMode,
        UndecryptablePolicy, VerificationPolicy,
    },
};
use launcher_runtime::ports::journal::{Journal, Journals, Life};

use super::support::*;
use crate::{SqliteJournals, migrations};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn each_agent_has_a_private_file_in_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let spec = AgentSpec {
        id: "echo".parse::<AgentId>().unwrap(),
        enabled: true,
        folder: folder.path().join("echo"),
        account: Account {
            network: Network::Matrix,
            homeserver: "https://hs".parse().unwrap(),
            user_id: "@bot:hs".to_owned(),
            password: None,
            access_token: None,
        },
        encryption: Encryption {
            store_path: folder.path().join("crypto"),
            pickle_key: Secret::new([1; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: DAY },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: launcher_core::spec::AnswerPolicy::default(),
        settings: launcher_core::spec::SettingsPolicy::default(),
        rooms: std::collections::BTreeMap::new(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: String::new(),
            delay: Duration::ZERO,
            files: false,
        }],
    };
    let journal = SqliteJournals::default().journal(&spec);
    assert!(!spec.data_folder().exists());
    journal.begin().await.unwrap();
    assert_eq!(mode(&spec.data_folder()), 0o700);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert_eq!(mode(&spec.data_folder().join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_launcher_is_left_alone() {
    let place = Place::new();
    place.begun().await.end().await.unwrap();
    place.database().pragma_update(None, "user_version", migrations::LATEST + 1).unwrap();
    let before = place.files();
    let fault = place.journal().begin().await.unwrap_err();
    let Fault::StoreCorrupt { detail, .. } = &fault else { panic!("{fault}") };
    let latest = migrations::LATEST;
    let newer = latest + 1;
    let expected =
        format!("a newer launcher wrote it: it has version {newer}, this launcher knows {latest}");
    assert_eq!(*detail, expected);
    assert!(place.files() == before);
}

#[tokio::test]
async fn what_is_no_journal_is_called_corrupt_and_left_alone() {
    let text = Place::new();
    fs::write(text.path(), "this is no database at all, is it".repeat(100)).unwrap();
    let foreign = Place::new();
    foreign.database().execute_batch("CREATE TABLE thing (name TEXT)").unwrap();
    let numbered = Place::new();
    numbered.database().execute_batch("CREATE TABLE a (b); PRAGMA user_version = 1").unwrap();
    for place in [text, foreign, numbered] {
        let before = place.files();
        assert_eq!(place.journal().begin().await.unwrap_err().code(), "store_corrupt");
        assert!(place.files() == before);
    }
}

#[tokio::test]
async fn an_empty_file_and_one_whose_making_was_cut_off_become_journals() {
    let empty = Place::new();
    fs::write(empty.path(), "").unwrap();
    let making = Place::new();
    let database = making.database();
    // With a cache this small the pages are in the file before the end.
    database
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA cache_size = 1; BEGIN;
             CREATE TABLE value (a); CREATE TABLE filler (a);
             INSERT INTO filler
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
             SELECT randomblob(4000) FROM n;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    let cut_off = making.killed();
    let sizes: Vec<_> = cut_off.files().iter().map(|(_, bytes)| bytes.len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|&size| size > 0), "{sizes:?}");
    let cut_off_at_the_end = making.killed();
    database.execute_batch("COMMIT").unwrap();
    fs::copy(making.path(), cut_off_at_the_end.path()).unwrap();
    for place in [empty, cut_off, cut_off_at_the_end] {
        let journal = place.journal();
        assert_eq!(journal.begin().await, Ok(Life { generation: 1, clean: true }));
        journal.ingest(intake([heard("$a")])).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_somebody_else_writes_to_is_a_fault_that_passes() {
    let place = Place::new();
    place.begun().await.end().await.unwrap();
    let database = place.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(place.journal().begin().await.unwrap_err().code(), "store_failed");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_is_unusable() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    assert_eq!(place.journal().begin().await.unwrap_err().code(), "store_unusable");
}

#[tokio::test]
async fn a_path_may_have_any_characters() {
    let place = Place::new();
    let folder = place.folder().join("50% off? #1 für alle");
    let open = || {
        crate::SqliteJournal::new(
            folder.join("journal.db"),
            &Secret::new([1; 32]),
            DAY,
            std::sync::Arc::new(|| START),
        )
    };
    open().begin().await.unwrap();
    assert_eq!(open().begin().await, Ok(Life { generation: 2, clean: false }));
}
