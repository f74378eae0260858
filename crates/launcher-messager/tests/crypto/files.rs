//! `crypto.db`: who can open it, and what becomes of copies.

use std::os::unix::fs::PermissionsExt;

use launcher_core::secret::Secret;
use launcher_messager::{
    crypto::{Action, Address, Machine, Opened, Published},
    store::StoreError,
};
use rusqlite::Connection;

use crate::world::{World, address, copy_store, draft, folder, key, restore_store, room};

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

#[test]
fn a_message_that_was_given_up_is_forgotten_with_its_keys_after_a_month() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let draft = draft(room(1), "refused", Action::New);
    // It is ready to be sent, and the server never takes it.
    world.server.is_silent = true;
    world.send_once(&alice, &draft).unwrap();
    while count(&world, &alice, "SELECT count(*) FROM outbox") == 0 {
        world.send_once(&alice, &draft).unwrap();
    }
    world.server.rows.clear();
    world.server.forget_posts();
    world.restart(&alice);
    let left = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM group_sent)
                + (SELECT count(*) FROM place WHERE record IS NOT NULL)";
    for (days, is_left) in [(29, 3), (31, 0)] {
        let later = world.now + days * DAY;
        world.machine(&alice).prune(later).unwrap();
        assert_eq!(count(&world, &alice, left), is_left, "after {days} days");
    }
    // Tried once more, it is another row under the same name.
    world.server.is_silent = false;
    let row = world.send(&alice, &draft);
    world.settle();
    let row = world.row(row);
    world.read(&bob, &row);
}

#[test]
fn keys_with_which_nothing_is_read_are_few_and_kept_for_a_week() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let first = world.say(&alice, room(1), "first");
    world.settle();
    let first = world.row(first);
    world.read(&bob, &first);
    let mut rows = Vec::new();
    for number in 0..502 {
        world.machine(&alice).rotate(room(1)).unwrap();
        world.wait(1);
        rows.push(world.say(&alice, room(1), &format!("message {number}")));
        world.settle_once(&bob).unwrap();
    }
    assert_eq!(count(&world, &bob, "SELECT count(*) FROM group_in"), 501);
    for (number, is_kept) in [(0, false), (1, false), (2, true), (501, true)] {
        let row = world.row(rows[number]);
        let opened = world.open(&bob, &row);
        assert_eq!(matches!(opened, Opened::Read(_)), is_kept, "{number}: {opened:?}");
    }
    for (days, kept) in [(7, 501), (9, 3)] {
        let later = world.now + days * DAY;
        world.machine(&bob).prune(later).unwrap();
        assert_eq!(count(&world, &bob, "SELECT count(*) FROM group_in"), kept, "{days}");
    }
    assert!(world.read(&bob, &first).was_read);
}

#[test]
fn a_store_of_an_earlier_version_is_brought_up_to_this_one() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let read = world.say(&alice, room(1), "read");
    world.settle();
    let read = world.row(read);
    world.read(&bob, &read);
    world.machine(&alice).rotate(room(1)).unwrap();
    let unread = world.say(&alice, room(1), "unread");
    world.settle();
    // As the version before made it.
    Connection::open(world.path(&bob))
        .unwrap()
        .execute_batch(
            "DROP INDEX outbox_session; DROP INDEX group_in_unread;
             ALTER TABLE group_in DROP COLUMN unread_since; PRAGMA user_version = 1",
        )
        .unwrap();
    for _ in 0..2 {
        world.restart(&bob);
        assert_eq!(count(&world, &bob, "SELECT count(unread_since) FROM group_in"), 1);
        assert_eq!(count(&world, &bob, "SELECT count(*) FROM group_in"), 2);
    }
    let unread = world.row(unread);
    assert!(world.read(&bob, &read).was_read);
    assert!(!world.read(&bob, &unread).was_read);
}

const DAY: u64 = 24 * 60 * 60 * 1000;

/// What stands in a device's store.
fn count(world: &World, who: &Address, sql: &str) -> i64 {
    let store = Connection::open(world.path(who)).unwrap();
    store.query_row(sql, [], |row| row.get(0)).unwrap()
}
