use std::collections::BTreeSet;

use fs_err as fs;
use launcher_core::{fault::Fault, names::EventId};
use launcher_runtime::ports::journal::{Intake, Journal, Number, Outcome};

use super::support::*;

/// Places with something in every table: as a kill leaves them, and as an end does.
async fn full_places() -> [Place; 2] {
    let place = Place::new();
    let journal = place.begun().await;
    let batch = |life: u32| Intake {
        position: Some(format!("s{life}")),
        locked: vec![(locked(&format!("$locked{life}"), START), "{}".to_owned())],
        encrypted_rooms: vec![message("$").room],
        ..intake((0..20).map(|n| encrypted(&format!("${life}-{n}"), "s", life * 50 + n)))
    };
    journal.ingest(batch(1)).await.unwrap();
    for number in 1..=10 {
        journal.keep_answers(Number(number), &[answer("$", number as u32)], &[]).await.unwrap();
        if number % 2 == 0 {
            journal.settle(Number(number), Outcome::Done).await.unwrap();
        }
    }
    journal.end().await.unwrap();
    journal.begin().await.unwrap();
    journal.ingest(batch(2)).await.unwrap();
    let killed = place.killed();
    journal.end().await.unwrap();
    [killed, place]
}

/// Uses everything, and notes how each use ended.
async fn use_everything(place: &Place, endings: &mut BTreeSet<&'static str>) {
    fn ending<T>(result: Result<T, Fault>) -> &'static str {
        result.map_or_else(|fault| fault.code(), |_| "ok")
    }
    let journal = place.journal();
    let batch = intake([heard("$1-3"), encrypted("$new", "s", 500)]);
    endings.extend([
        ending(journal.begin().await),
        ending(journal.position().await),
        ending(journal.waiting(Number::default(), 100).await),
        ending(journal.queued(Number(1)).await),
        ending(journal.ingest(batch).await),
        ending(journal.attempt(Number(3)).await),
        ending(journal.keep_answers(Number(3), &[answer("$1-2", 0)], &[]).await),
        ending(journal.answer_done(Number(1), "$-1").await),
        ending(journal.settle(Number(1), Outcome::Done).await),
        ending(journal.undecryptable().await),
        ending(journal.locked_event(&EventId::new("$locked1")).await),
        ending(journal.end().await),
    ]);
}

/// Every damage is either without effect or one of the store's faults.
fn assert_sensible(endings: &BTreeSet<&'static str>) {
    let possible =
        ["ok", "store_corrupt", "store_failed", "store_key_wrong", "store_unusable"].into();
    assert!(endings.is_subset(&possible), "{endings:?}");
    assert!(endings.contains("ok") && endings.contains("store_corrupt"), "{endings:?}");
}

#[tokio::test]
async fn a_damaged_file_gives_faults_or_works_but_never_panics() {
    let (places, mut endings) = (full_places().await, BTreeSet::new());
    for (whole, (name, bytes)) in
        places.iter().flat_map(|place| place.files().into_iter().map(move |file| (place, file)))
    {
        if name.ends_with("-shm") {
            continue;
        }
        for step in 0..200 {
            let position = step * bytes.len() / 200;
            let place = whole.killed();
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << (step % 8);
            fs::write(place.folder().join(&name), damaged).unwrap();
            use_everything(&place, &mut endings).await;
        }
    }
    assert_sensible(&endings);
}

#[tokio::test]
async fn every_byte_of_the_header_may_be_damaged() {
    let ([_, whole], mut endings) = (full_places().await, BTreeSet::new());
    for position in 0..100 {
        let place = whole.killed();
        let mut damaged = fs::read(place.path()).unwrap();
        damaged[position] ^= 0xff;
        fs::write(place.path(), damaged).unwrap();
        use_everything(&place, &mut endings).await;
    }
    assert_sensible(&endings);
}

#[tokio::test]
async fn a_file_that_was_cut_off_gives_faults_or_works_but_never_panics() {
    let (places, mut endings) = (full_places().await, BTreeSet::new());
    for (whole, (name, bytes)) in
        places.iter().flat_map(|place| place.files().into_iter().map(move |file| (place, file)))
    {
        for step in 0..50 {
            let place = whole.killed();
            let end = step * bytes.len() / 50;
            fs::write(place.folder().join(&name), &bytes[..end]).unwrap();
            use_everything(&place, &mut endings).await;
        }
    }
    assert_sensible(&endings);
}
