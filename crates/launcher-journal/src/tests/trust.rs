use launcher_core::{
    names::{DeviceId, UserId},
    trust::{Decided, Decision, DeviceRecord, UserRecord},
};
use launcher_runtime::ports::journal::Journal;

use super::support::*;

fn record(user: &str) -> UserRecord {
    let device = DeviceRecord {
        ed25519: "e".into(),
        curve25519: "c".into(),
        first_seen: 1,
        late: false,
        signed: true,
        gone: None,
        decision: Some(Decision { decided: Decided::Approved, at: 2 }),
    };
    let mut record = UserRecord::new(UserId::new(user), 1);
    record.devices.insert(DeviceId::new("PHONE"), device);
    record
}

#[tokio::test]
async fn the_trust_ledger_survives_and_is_found_by_user() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_trust(&[record("@b:hs"), record("@a:hs")]).await.unwrap();
    let changed = UserRecord { told: Some(5), ..record("@a:hs") };
    journal.keep_trust(std::slice::from_ref(&changed)).await.unwrap();
    drop(journal);
    let journal = place.begun().await;
    let users = [UserId::new("@a:hs"), UserId::new("@nobody:hs")];
    assert_eq!(journal.trust_records(&users).await.unwrap(), std::slice::from_ref(&changed));
    assert_eq!(journal.trust_ledger().await.unwrap(), [changed, record("@b:hs")]);
}

#[tokio::test]
async fn an_operator_reads_and_changes_the_ledger_without_beginning_a_life() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_trust(&[record("@a:hs")]).await.unwrap();
    drop(journal);
    let journal = place.journal();
    assert_eq!(journal.trust_ledger().await.unwrap(), [record("@a:hs")]);
    journal.keep_trust(&[record("@b:hs")]).await.unwrap();
    journal.rest().await;
    let life = place.journal().begin().await.unwrap();
    assert_eq!(
        (life.generation, life.clean),
        (2, false),
        "the life that was cut off is still seen"
    );
}

#[tokio::test]
async fn a_record_that_was_moved_to_another_user_ends_the_agent() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_trust(&[record("@a:hs")]).await.unwrap();
    journal.rest().await;
    place.database().execute_batch("UPDATE trust SET user = '@eve:hs'").unwrap();
    let fault = journal.trust_records(&[UserId::new("@eve:hs")]).await.unwrap_err();
    assert_eq!(fault.code(), "store_corrupt");
}
