//! What honest devices over an honest server can do.

use std::collections::BTreeSet;

use launcher_messager::crypto::{
    Action, Answer, Audience, EnvelopeKind, Finding, Machine, Opened, Received, Refusal, Step,
    Withheld,
};
use rusqlite::Connection;

use crate::world::{
    MARKER, World, address, contains, copy_store, draft, folder, key, restore_store, room,
};

#[test]
fn two_people_read_each_other_and_the_server_reads_nobody() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    for number in 0..5 {
        let (first, second) = (format!("question {number}"), format!("answer {number}"));
        let question = world.say(&alice, room(1), &first);
        world.settle();
        let row = world.row(question);
        let read = world.read(&bob, &row);
        assert_eq!(read.content.body.text, format!("{MARKER} {first}"));
        assert_eq!((&read.sender.address, read.is_own, read.was_read), (&alice, false, false));
        let answer = world.say(&bob, room(1), &second);
        world.settle();
        let row = world.row(answer);
        assert_eq!(world.read(&alice, &row).content.body.text, format!("{MARKER} {second}"));
    }
    world.assert_sealed();
}

#[test]
fn every_device_of_every_member_reads_and_so_does_the_one_that_wrote() {
    let devices =
        [address(1, "phone"), address(1, "desk"), address(2, "phone"), address(2, "desk")];
    let mut world = World::of(&devices.each_ref());
    for device in &devices {
        let row = world.say(device, room(1), &format!("from {device:?}"));
        world.settle();
        let row = world.row(row);
        for reader in &devices {
            let read = world.read(reader, &row);
            assert_eq!(read.sender.address, *device);
            assert_eq!(read.is_own, reader == device);
        }
    }
}

#[test]
fn the_same_row_is_read_from_every_answer_of_the_server() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.settle();
    let row = world.row(row);
    assert!(!world.read(&bob, &row).was_read);
    for _ in 0..3 {
        assert!(world.read(&bob, &row).was_read);
    }
    world.restart(&bob);
    assert!(world.read(&bob, &row).was_read);
}

#[test]
fn an_edit_is_read_from_its_own_row_and_from_the_edited_message() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let target = world.say(&alice, room(1), "first");
    world.settle();
    let first = world.row(target);
    world.read(&bob, &first);
    world.send(&alice, &draft(room(1), "second", Action::Edit { target }));
    world.settle();
    let edited = world.row(target);
    let update = world.server.rows.last().unwrap().clone();
    assert_eq!(edited.ciphertext, update.ciphertext);
    for (reader, row) in [(&bob, &edited), (&bob, &update), (&alice, &update), (&alice, &edited)] {
        let read = world.read(reader, row);
        assert_eq!(read.content.action, Action::Edit { target });
        assert_eq!(read.content.body.text, format!("{MARKER} second"));
    }
    world.send(&alice, &draft(room(1), "third", Action::Delete { target }));
    let deletion = world.server.rows.last().unwrap().clone();
    assert_eq!(world.read(&bob, &deletion).content.action, Action::Delete { target });
}

#[test]
fn a_session_ends_after_a_hundred_messages_and_after_a_week() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    for number in 0..101 {
        world.say(&alice, room(1), &format!("message {number}"));
    }
    world.wait(8 * 24 * 60 * 60 * 1000);
    world.say(&alice, room(1), "a week later");
    world.settle();
    let epochs: BTreeSet<i64> = world.server.rows.iter().map(|row| row.epoch).collect();
    assert_eq!(epochs, BTreeSet::from([1, 2, 3]));
    assert_eq!(world.texts(&bob).len(), 102);
}

#[test]
fn an_announced_rotation_begins_a_new_session() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "before");
    world.machine(&alice).rotate(room(1)).unwrap();
    world.say(&alice, room(1), "after");
    world.settle();
    assert_ne!(world.server.rows[0].epoch, world.server.rows[1].epoch);
    assert_eq!(world.texts(&bob).len(), 2);
}

#[test]
fn people_who_open_sessions_at_once_end_up_with_one() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    // Neither has seen the other's envelopes yet.
    world.say(&alice, room(1), "from alice");
    world.say(&bob, room(1), "from bob");
    world.settle();
    for number in 0..4 {
        for device in [&alice, &bob] {
            world.machine(device).rotate(room(1)).unwrap();
            world.say(device, room(1), &format!("{number} from {device:?}"));
            world.settle();
        }
    }
    assert_eq!(world.texts(&alice).len(), 10);
    assert_eq!(world.texts(&bob), world.texts(&alice));
}

#[test]
fn a_pool_without_one_time_keys_does_not_keep_anybody_out() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    while world.server.claim(bob.account)[0].one_time_pre_key.is_some() {}
    let row = world.say(&alice, room(1), "hi");
    world.settle();
    let row = world.row(row);
    world.read(&bob, &row);
    world.wait(60 * 60 * 1000);
    world.settle();
    assert!(world.server.claim(bob.account)[0].one_time_pre_key.is_some(), "it is filled again");
}

#[test]
fn a_key_that_was_lost_is_asked_for_and_given_to_those_who_were_meant_to_have_it() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.server.envelopes.clear();
    let row = world.row(row);
    assert!(matches!(world.open(&bob, &row), Opened::Locked { will_ask: true }));
    world.settle();
    assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }), "it waits a little");
    world.wait(11 * 1000);
    world.settle();
    world.read(&bob, &row);
}

#[test]
fn a_policy_that_has_changed_keeps_a_key_from_who_asks_for_it() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.server.envelopes.clear();
    world.answer = Answer::Withhold(Withheld::Blocked);
    let row = world.row(row);
    for _ in 0..5 {
        assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
        world.wait(2 * 60 * 60 * 1000);
        world.settle();
    }
    let asks = world.server.envelopes.len();
    world.wait(24 * 60 * 60 * 1000);
    world.settle();
    assert_eq!(world.server.envelopes.len(), asks, "who was refused does not ask again");
}

#[test]
fn a_device_that_asks_and_then_shows_other_keys_does_not_get_the_key() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.server.envelopes.clear();
    let row = world.row(row);
    world.look_up(&bob, alice.account).unwrap();
    assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
    world.wait(11 * 1000);
    for _ in 0..3 {
        world.settle_once(&bob).unwrap();
    }
    let envelope = world.server.envelopes[&alice][0].clone();
    assert_eq!(world.receive(&alice, &envelope).unwrap(), Received::Asked);
    let elsewhere = folder();
    let path = elsewhere.path().join("swapped.db");
    let mut swapped = Machine::create(&path, &key(), &bob, world.now).unwrap();
    let bundle = swapped.upload(world.now).unwrap().unwrap().bundle;
    world.server.replace(&bob, Some(bundle));
    world.look_up(&alice, bob.account).unwrap();
    let (asks, now) = (world.machine(&alice).asks().unwrap(), world.now);
    world.machine(&alice).answer(&asks[0], Answer::Share).unwrap();
    let work = world.machine(&alice).work(now).unwrap();
    assert!(work.deliver.iter().all(|fanout| fanout.kind == EnvelopeKind::Control));
}

#[test]
fn no_row_is_ready_before_the_server_has_its_keys() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let said = draft(room(1), "hi", Action::New);
    for _ in 0..2 {
        world.send_once(&alice, &said).unwrap();
    }
    let members = world.server.members[&room(1)].clone();
    let (audience, now) = (Audience { members, ..Default::default() }, world.now);
    for _ in 0..3 {
        let step = world.machine(&alice).send(&said, &audience, now).unwrap();
        assert!(matches!(step, Step::Deliver(_)), "{step:?}");
        world.restart(&alice);
    }
}

#[test]
fn a_device_that_is_left_out_is_told_and_reads_nothing() {
    let (alice, bob, desk) = (address(1, "phone"), address(2, "phone"), address(2, "desk"));
    let mut world = World::of(&[&alice, &bob, &desk]);
    world.withheld.insert(desk.clone(), Withheld::Unapproved);
    let row = world.say(&alice, room(1), "hi");
    let envelope = world.server.envelopes[&desk][0].clone();
    let received = world.receive(&desk, &envelope).unwrap();
    assert_eq!(received, Received::SaidToBeWithheld(Withheld::Unapproved));
    world.settle();
    let row = world.row(row);
    world.read(&bob, &row);
    assert!(matches!(world.open(&desk, &row), Opened::Locked { .. }));
    // Asking does not help: it was never meant to have it.
    world.wait(11 * 1000);
    world.settle();
    assert!(matches!(world.open(&desk, &row), Opened::Locked { .. }));
}

#[test]
fn stuck_sessions_are_replaced_and_what_came_by_them_is_asked_for() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let talk = |world: &mut World, name: &str| {
        for device in [&alice, &bob] {
            world.machine(device).rotate(room(1)).unwrap();
            world.say(device, room(1), &format!("{name} from {device:?}"));
            world.settle();
        }
    };
    talk(&mut world, "before");
    let path = world.path(&bob);
    let copy = copy_store(&path);
    talk(&mut world, "forgotten");
    restore_store(&path, &copy);
    world.restart(&bob);
    world.machine(&alice).rotate(room(1)).unwrap();
    let row = world.say(&alice, room(1), "after");
    let row = world.row(row);
    let envelope = world.server.envelopes[&bob][0].clone();
    let received = world.receive(&bob, &envelope).unwrap();
    assert!(matches!(received, Received::Undecryptable { .. }), "{received:?}");
    world.settle();
    assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
    world.wait(11 * 1000);
    world.settle();
    world.read(&bob, &row);
    world.say(&bob, room(1), "healed");
    world.settle();
    assert!(world.texts(&alice).contains(&format!("{MARKER} healed")));
}

#[test]
fn a_clock_that_was_ahead_keeps_no_key_from_being_asked_for() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    let row = world.row(row);
    world.server.envelopes.clear();
    let year = 365 * 24 * 60 * 60 * 1000;
    world.wait(year);
    world.look_up(&bob, alice.account).unwrap();
    assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
    world.now -= year;
    world.look_up(&bob, alice.account).unwrap();
    world.wait(11 * 1000);
    world.settle();
    world.read(&bob, &row);
}

#[test]
fn a_clock_that_was_ahead_keeps_no_session_from_being_mended() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "hi");
    world.settle();
    let hour = 60 * 60 * 1000;
    for (mended, is_mended) in
        [(world.now - 2 * hour, true), (world.now - hour / 2, false), (world.now + 2 * hour, true)]
    {
        let store = Connection::open(world.path(&bob)).unwrap();
        let sql = "INSERT OR REPLACE INTO peer VALUES (zeroblob(32), ?1, 1, ?2, 0)";
        store.execute(sql, (alice.account.as_bytes(), mended)).unwrap();
        drop(store);
        let now = world.now;
        let work = world.machine(&bob).work(now).unwrap();
        assert_eq!(work.claim == [alice.account], is_mended, "{mended} {now}");
    }
}

#[test]
fn swapped_devices_are_announced_and_get_nothing() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "before");
    world.settle();
    // The server puts a device of its own making into Bob's place. It has to be
    // signed for that name, so it makes one.
    let elsewhere = folder();
    let path = elsewhere.path().join("swapped.db");
    let mut swapped = Machine::create(&path, &key(), &bob, world.now).unwrap();
    let bundle = swapped.upload(world.now).unwrap().unwrap().bundle;
    world.server.replace(&bob, Some(bundle));
    world.wait(61 * 1000);
    world.say(&alice, room(1), "after");
    assert!(world.findings.contains(&(alice.clone(), Finding::KeysChanged(bob.clone()))));
    let row = world.server.rows.last().unwrap().clone();
    for envelope in world.server.envelopes.remove(&bob).unwrap() {
        let now = world.now;
        let shown = world.server.show(alice.account);
        swapped.devices(alice.account, &shown, now).unwrap();
        let freshness = launcher_messager::crypto::Freshness::JustLookedUp;
        let received = swapped.receive(&envelope, freshness, now).unwrap();
        assert!(!matches!(received, Received::Key { .. }), "{received:?}");
    }
    assert!(matches!(swapped.open_row(&row, world.now).unwrap(), Opened::Locked { .. }));
    // An operator has compared keys, and accepts the new ones.
    let ed25519 = vodozemac::Ed25519PublicKey::from_base64(&swapped.ed25519()).unwrap();
    assert!(world.machine(&alice).accept(&bob, &ed25519).unwrap());
    world.say(&alice, room(1), "accepted");
    assert!(world.server.envelopes[&bob].iter().any(|envelope| envelope.kind == 1));
}

#[test]
fn a_copy_of_this_device_that_writes_is_noticed() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let path = world.path(&alice);
    let copy = copy_store(&path);
    world.say(&alice, room(1), "from the copy");
    let row = world.server.rows[0].clone();
    restore_store(&path, &copy);
    world.restart(&alice);
    assert!(matches!(world.open(&alice, &row), Opened::Refused(Refusal::NotOurs)));
}

#[test]
fn safety_numbers_are_the_same_on_both_sides_until_a_device_comes() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    assert_eq!(world.machine(&alice).safety_number(bob.account).unwrap(), None);
    let both = |world: &mut World| {
        for device in [&alice, &bob] {
            world.look_up(device, alice.account).unwrap();
            world.look_up(device, bob.account).unwrap();
        }
        let one = world.machine(&alice).safety_number(bob.account).unwrap().unwrap();
        let other = world.machine(&bob).safety_number(alice.account).unwrap().unwrap();
        assert_eq!(one, other);
        one
    };
    let before = both(&mut world);
    world.add_device(&address(2, "desk"));
    assert_ne!(before, both(&mut world));
}

#[test]
fn lengths_tell_little() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    for name in ["a", "a somewhat longer text than the one before it"] {
        world.say(&alice, room(1), name);
    }
    let lengths: Vec<usize> = world.server.rows.iter().map(|row| row.ciphertext.len()).collect();
    assert_eq!(lengths[0], lengths[1]);
    assert!(!contains(&world.server.rows[0].ciphertext, b"MARKER"));
}
