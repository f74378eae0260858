//! The process is killed in every call, before and after it is on the disk.
//! Nothing is lost, nothing is there twice, and no place is used twice.

use std::collections::{BTreeMap, BTreeSet};

use launcher_messager::crypto::{Action, Audience, Body, Draft, Opened, Place, SendError, Step};

use crate::world::{Kill, World, address, draft, room};

/// Two people talk; one has two devices, one joins late.
fn play(kill: Option<Kill>, changes: Option<Vec<usize>>) -> World {
    let (alice, bob, desk) = (address(1, "phone"), address(2, "phone"), address(2, "desk"));
    let carol = address(3, "phone");
    let mut world = World::new();
    world.kill = kill;
    world.changes = changes;
    for device in [&alice, &bob] {
        world.add_device(device);
        world.server.members.entry(room(1)).or_default().insert(device.account);
    }
    let first = world.say(&alice, room(1), "first");
    world.settle();
    world.say(&bob, room(1), "second");
    world.add_device(&desk);
    world.wait(61 * 1000);
    world.say(&alice, room(1), "third");
    world.add_device(&carol);
    world.server.members.get_mut(&room(1)).unwrap().insert(carol.account);
    world.settle();
    world.send(&alice, &draft(room(1), "fourth", Action::Edit { target: first }));
    world.say(&bob, room(1), "fifth");
    world.settle();
    world.wait(11 * 1000);
    world.settle();
    world
}

fn assert_whole(world: &mut World, kill: Kill) {
    let names: Vec<_> =
        world.server.rows.iter().filter_map(|row| row.client_message_id.clone()).collect();
    assert_eq!(names.len(), 5, "{kill:?}");
    let mut places: BTreeMap<Place, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let rows = world.server.rows.clone();
    for device in [address(1, "phone"), address(2, "phone")] {
        for row in &rows {
            match world.open(&device, row) {
                Opened::Read(read) => {
                    places.entry(read.place).or_default().insert(row.ciphertext.clone());
                }
                other => panic!("{kill:?}: {device:?} gets {other:?} for {row:?}"),
            }
        }
    }
    assert!(places.values().all(|ciphertexts| ciphertexts.len() == 1), "{kill:?}");
    // Two of three rows before they came are closed to them, whatever was killed.
    assert_eq!(world.texts(&address(3, "phone")).len(), 2, "{kill:?}");
    world.assert_sealed();
}

fn kill_everywhere(kill: fn(usize) -> Kill) {
    // A kill in a call that writes nothing is an ordinary start.
    let calls = play(None, Some(Vec::new())).changes.unwrap();
    assert!(calls.len() > 40, "{calls:?}");
    for number in calls {
        let mut world = play(Some(kill(number)), None);
        assert_whole(&mut world, kill(number));
    }
}

#[test]
fn a_kill_before_any_commit_loses_nothing() {
    kill_everywhere(Kill::Before);
}

#[test]
fn a_kill_after_any_commit_loses_nothing() {
    kill_everywhere(Kill::After);
}

#[test]
fn a_message_that_was_posted_before_a_kill_is_not_posted_again() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "first");
    world.settle();
    let draft = draft(room(1), "second", Action::New);
    // The server has it; that it was posted is not written down.
    world.kill = Some(Kill::Before(world.calls + 2));
    assert!(world.send_once(&alice, &draft).is_err());
    world.kill = None;
    assert_eq!(world.server.rows.len(), 2);
    // Its own row comes back by the websocket, and is as good.
    let row = world.server.rows[1].clone();
    assert!(world.read(&alice, &row).is_own);
    assert_eq!(world.send(&alice, &draft), row.id);
    assert_eq!(world.server.rows.len(), 2);
}

#[test]
fn another_text_under_the_name_of_a_message_that_was_sent_is_that_message() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "first");
    world.settle();
    let draft = draft(room(1), "second", Action::New);
    let other = Draft { body: Body::text("found"), ..draft.clone() };
    // The server has it, and nobody knows.
    world.server.is_silent = true;
    assert_eq!(world.send_once(&alice, &draft).unwrap(), None);
    world.server.is_silent = false;
    world.restart(&alice);
    let row = world.server.rows[1].clone();
    assert_eq!(world.send(&alice, &other), row.id);
    // And now everybody knows.
    assert_eq!(world.send(&alice, &draft), row.id);
    assert_eq!(world.send(&alice, &other), row.id);
    world.settle();
    assert_eq!(world.server.rows.len(), 2);
    for who in [&alice, &bob] {
        assert_eq!(world.read(who, &row).content.body, draft.body);
    }
}

#[test]
fn another_text_under_the_name_of_a_message_that_was_lost_is_what_is_said() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "first");
    let draft = draft(room(1), "second", Action::New);
    let other = Draft { body: Body::text("found"), ..draft.clone() };
    let (members, now) = (world.server.members[&room(1)].clone(), world.now);
    let audience = Audience { members, ..Audience::default() };
    let step = world.machine(&alice).send(&draft, &audience, now).unwrap();
    assert!(matches!(step, Step::Post(_)), "{step:?}");
    let row = world.send(&alice, &other);
    world.settle();
    let row = world.row(row);
    for who in [&alice, &bob] {
        assert_eq!(world.read(who, &row).content.body, other.body);
    }
}

#[test]
fn a_name_is_not_used_for_another_room_or_another_action() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let first = world.say(&alice, room(1), "first");
    let (members, now) = (world.server.members[&room(1)].clone(), world.now);
    let audience = Audience { members, ..Audience::default() };
    let elsewhere = draft(room(2), "first", Action::New);
    let edit = draft(room(1), "first", Action::Edit { target: first });
    for draft in [elsewhere, edit] {
        let error = world.machine(&alice).send(&draft, &audience, now).unwrap_err();
        assert!(matches!(error, SendError::Taken { .. }), "{error}");
        assert_eq!(error.to_string(), "name first is the name of another message");
    }
}

#[test]
fn a_message_is_the_same_bytes_after_a_kill() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "first");
    world.settle();
    let draft = draft(room(1), "second", Action::New);
    let audience =
        Audience { members: world.server.members[&room(1)].clone(), ..Default::default() };
    let now = world.now;
    let before = world.machine(&alice).send(&draft, &audience, now).unwrap();
    world.restart(&alice);
    assert_eq!(world.machine(&alice).send(&draft, &audience, now).unwrap(), before);
}

#[test]
fn no_index_goes_on_after_a_start() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "first");
    world.restart(&alice);
    world.say(&alice, room(1), "second");
    assert_ne!(world.server.rows[0].epoch, world.server.rows[1].epoch);
}
