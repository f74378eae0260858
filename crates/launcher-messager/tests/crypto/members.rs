//! Who can read what, as people come and go.

use std::collections::BTreeMap;

use launcher_messager::crypto::{Address, Audience, Machine, Opened, SendError};

use crate::world::{World, address, room};

#[test]
fn whoever_was_removed_reads_nothing_new() {
    let (alice, bob, carol) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &carol]);
    world.say(&alice, room(1), "before");
    world.settle();
    world.server.members.get_mut(&room(1)).unwrap().remove(&carol.account);
    // No event, and the lists of devices are as fresh as before.
    let after = world.say(&alice, room(1), "after");
    world.settle();
    let after = world.row(after);
    world.read(&bob, &after);
    world.wait(11 * 1000);
    for _ in 0..4 {
        assert!(matches!(world.open(&carol, &after), Opened::Locked { .. }));
        world.wait(2 * 60 * 60 * 1000);
        world.settle();
    }
    assert_eq!(world.texts(&carol).len(), 1);
}

#[test]
fn whoever_joins_reads_nothing_old() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice]);
    let before = world.say(&alice, room(1), "before");
    world.add_device(&bob);
    world.server.members.get_mut(&room(1)).unwrap().insert(bob.account);
    let after = world.say(&alice, room(1), "after");
    world.settle();
    let (before, after) = (world.row(before), world.row(after));
    world.read(&bob, &after);
    for _ in 0..4 {
        assert!(matches!(world.open(&bob, &before), Opened::Locked { .. }));
        world.wait(2 * 60 * 60 * 1000);
        world.settle();
    }
}

#[test]
fn whoever_leaves_and_comes_back_reads_both_stays_and_nothing_between() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let mut rows = vec![world.say(&alice, room(1), "first stay")];
    world.server.members.get_mut(&room(1)).unwrap().remove(&bob.account);
    rows.push(world.say(&alice, room(1), "between"));
    world.server.members.get_mut(&room(1)).unwrap().insert(bob.account);
    rows.push(world.say(&alice, room(1), "second stay"));
    world.settle();
    world.wait(11 * 1000);
    world.settle();
    let rows = rows.into_iter().map(|row| world.row(row)).collect::<Vec<_>>();
    world.read(&bob, &rows[0]);
    assert!(matches!(world.open(&bob, &rows[1]), Opened::Locked { .. }));
    world.read(&bob, &rows[2]);
}

#[test]
fn a_device_that_was_revoked_reads_nothing_new_and_the_others_do() {
    let (alice, phone, desk) = (address(1, "phone"), address(2, "phone"), address(2, "desk"));
    let mut world = World::of(&[&alice, &phone, &desk]);
    world.say(&alice, room(1), "before");
    world.settle();
    world.remove_device(&desk);
    world.wait(61 * 1000);
    let after = world.say(&alice, room(1), "after");
    world.settle();
    let after = world.row(after);
    world.read(&phone, &after);
    assert!(matches!(world.open(&desk, &after), Opened::Locked { .. }));
}

#[test]
fn a_message_that_was_ready_when_somebody_left_is_encrypted_anew() {
    let (alice, bob, carol) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &carol]);
    world.say(&alice, room(1), "before");
    world.settle();
    let draft = crate::world::draft(room(1), "late", launcher_messager::crypto::Action::New);
    // It is encrypted, and the process ends before anything is sent.
    world.kill = Some(crate::world::Kill::After(world.calls + 1));
    assert!(world.send_once(&alice, &draft).is_err());
    world.kill = None;
    world.server.members.get_mut(&room(1)).unwrap().remove(&carol.account);
    let late = world.send(&alice, &draft);
    world.settle();
    let late = world.row(late);
    world.read(&bob, &late);
    assert!(matches!(world.open(&carol, &late), Opened::Locked { .. }));
}

#[test]
fn what_nobody_has_judged_gets_nothing() {
    let (alice, bob, desk) = (address(1, "phone"), address(2, "phone"), address(2, "desk"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "before");
    let judged = world.machine(&alice).known(bob.account).unwrap();
    let mut judged: BTreeMap<_, _> =
        judged.into_iter().map(|device| (device.address.clone(), device)).collect();
    world.allowed = Some(judged.clone());
    // It comes when the word of the policy has been given.
    world.add_device(&desk);
    world.look_up(&alice, bob.account).unwrap();
    let row = world.say(&alice, room(1), "after");
    world.settle();
    let row = world.row(row);
    world.read(&bob, &row);
    assert!(matches!(world.open(&desk, &row), Opened::Locked { .. }));
    // The word was about other keys.
    let known = world.machine(&alice).known(bob.account).unwrap();
    let other = known.into_iter().find(|device| device.address == desk).unwrap();
    judged.insert(bob.clone(), other);
    world.allowed = Some(judged);
    let row = world.say(&alice, room(1), "last");
    world.settle();
    let row = world.row(row);
    for device in [&bob, &desk] {
        assert!(matches!(world.open(device, &row), Opened::Locked { .. }));
    }
}

#[test]
fn a_third_member_of_a_room_for_two_gets_nothing() {
    let (alice, bob, ghost) = (address(1, "phone"), address(2, "phone"), address(3, "ghost"));
    let mut world = World::of(&[&alice, &bob, &ghost]);
    let members = world.server.members[&room(1)].clone();
    let audience = Audience { members, is_direct: true, ..Default::default() };
    let draft = crate::world::draft(room(1), "hi", launcher_messager::crypto::Action::New);
    let now = world.now;
    let error = world.machine(&alice).send(&draft, &audience, now).unwrap_err();
    assert!(matches!(error, SendError::NotForTwo { members: 3, .. }), "{error}");
}

#[test]
fn somebody_else_in_a_room_for_two_gets_nothing() {
    let (alice, bob, ghost) = (address(1, "phone"), address(2, "phone"), address(3, "ghost"));
    let mut world = World::of(&[&alice, &bob, &ghost]);
    let draft = crate::world::draft(room(1), "hi", launcher_messager::crypto::Action::New);
    let now = world.now;
    let send = |machine: &mut Machine, others: &[&Address]| {
        let members = others.iter().map(|other| other.account).chain([alice.account]).collect();
        let other = Some(bob.account);
        let audience = Audience { members, is_direct: true, other, ..Default::default() };
        machine.send(&draft, &audience, now)
    };
    let machine = world.machine(&alice);
    let error = send(machine, &[&ghost]).unwrap_err();
    assert!(matches!(error, SendError::NotWith { .. }), "{error}");
    assert!(send(machine, &[&bob]).is_ok());
    assert!(send(machine, &[]).is_ok(), "who has left may be missing");
}

#[test]
fn twenty_members_with_two_devices_each_read_one_message() {
    let devices: Vec<_> =
        (1..=20).flat_map(|number| [address(number, "phone"), address(number, "desk")]).collect();
    let mut world = World::of(&devices.iter().collect::<Vec<_>>());
    let row = world.say(&devices[0], room(1), "hi");
    world.settle();
    let row = world.row(row);
    for device in &devices {
        world.read(device, &row);
    }
    world.assert_sealed();
}
