//! `crypto.db`: who can open it, and what becomes of copies.

use std::os::unix::fs::PermissionsExt;

use launcher_core::secret::Secret;
use launcher_messager::{
    crypto::{Machine, Published},
    store::StoreError,
};

use crate::world::{World, address, copy_store, folder, key, restore_store, room};

#[test]
fn a_wrong_key_changes_no_byte() {
    let alice = address(1, "phone");
    let mut world = World::of(&[&alice]);
    world.say(&alice, room(1), "hi");
    let path = world.path(&alice);
    // As after a kill: with a write-ahead log beside it.
    let before = copy_store(&path);
    assert!(before.len() > 1);
    let elsewhere = folder();
    let path = elsewhere.path().join(path.file_name().unwrap());
    let files: Vec<_> =
        before.iter().map(|(file, bytes)| (file.file_name().unwrap(), bytes)).collect();
    for (name, bytes) in &files {
        std::fs::write(elsewhere.path().join(name), bytes).unwrap();
    }
    let error = Machine::open(&path, &Secret::new([8; 32]), &alice).unwrap_err();
    assert!(matches!(error, StoreError::KeyWrong { .. }), "{error:?}");
    let other = Machine::open(&path, &key(), &address(1, "desk")).unwrap_err();
    assert!(matches!(other, StoreError::OtherIdentity { .. }), "{other:?}");
    for (file, bytes) in files {
        assert!(std::fs::read(elsewhere.path().join(file)).unwrap() == *bytes, "{file:?}");
    }
    let machine = Machine::open(&path, &key(), &alice).unwrap().unwrap();
    assert_eq!(machine.ed25519(), world.machine(&alice).ed25519());
}

#[test]
fn a_device_has_one_pair_of_keys_for_life() {
    let alice = address(1, "phone");
    let world = World::of(&[&alice]);
    let error = Machine::create(&world.path(&alice), &key(), &alice, 0).unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error:?}");
    let missing = world.folder().join("missing.db");
    assert!(Machine::open(&missing, &key(), &alice).unwrap().is_none());
    assert!(!missing.exists(), "a look makes no file");
}

#[test]
fn its_files_are_the_owners_only() {
    let alice = address(1, "phone");
    let mut world = World::of(&[&alice]);
    world.say(&alice, room(1), "hi");
    for file in copy_store(&world.path(&alice)).keys() {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_store_that_was_restored_from_a_copy_is_behind_the_server() {
    let alice = address(1, "phone");
    let mut world = World::of(&[&alice]);
    let path = world.path(&alice);
    let copy = copy_store(&path);
    for _ in 0..2 {
        world.restart(&alice);
        let shown = world.server.show(alice.account);
        assert_eq!(world.machine(&alice).published(shown.first()).unwrap(), Published::Ours);
        world.settle();
        let shown = world.server.show(alice.account);
        assert_eq!(world.machine(&alice).published(shown.first()).unwrap(), Published::Ours);
    }
    restore_store(&path, &copy);
    for start in 0..4 {
        world.restart(&alice);
        let shown = world.server.show(alice.account);
        let published = world.machine(&alice).published(shown.first()).unwrap();
        assert_eq!(published, Published::Ahead, "start {start}: starting does not catch it up");
    }
    assert_eq!(world.machine(&alice).published(None).unwrap(), Published::Missing);
}

#[test]
fn other_keys_under_this_devices_name_are_foreign() {
    let alice = address(1, "phone");
    let mut world = World::of(&[&alice]);
    let elsewhere = folder();
    let path = elsewhere.path().join("other.db");
    let mut other = Machine::create(&path, &key(), &alice, 0).unwrap();
    let bundle = other.upload(0).unwrap().unwrap().bundle;
    assert_eq!(world.machine(&alice).published(Some(&bundle)).unwrap(), Published::Foreign);
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    let elsewhere = folder();
    let path = elsewhere.path().join("crypto.db");
    let alice = address(1, "phone");
    std::fs::write(&path, b"not a database, but somebody's only copy of something").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(Machine::open(&path, &key(), &alice).is_err());
    assert!(Machine::create(&path, &key(), &alice, 0).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_old_is_forgotten_and_stays_refused_elsewhere() {
    use launcher_messager::crypto::{Opened, Refusal, RowId};
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.settle();
    let row = world.row(row);
    world.read(&alice, &row);
    world.read(&bob, &row);
    let later = world.now + 9 * 24 * 60 * 60 * 1000;
    world.machine(&alice).prune(later).unwrap();
    world.machine(&bob).prune(later).unwrap();
    assert!(matches!(world.open(&alice, &row), Opened::Forgotten));
    assert!(world.read(&bob, &row).was_read, "another's row can be decrypted again");
    let mut replayed = row.clone();
    replayed.id = RowId::from_bytes([77; 16]);
    assert!(matches!(world.open(&bob, &replayed), Opened::Refused(Refusal::Replayed)));
}
