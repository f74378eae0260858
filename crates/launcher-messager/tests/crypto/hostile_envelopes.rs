//! The server shows envelopes as it likes.

use launcher_messager::crypto::{EnvelopeRefusal, Opened, PublicBundle, Received};
use proptest::prelude::*;
use vodozemac::Ed25519Keypair;

use crate::world::{World, account, address, room};

#[test]
fn an_envelope_under_other_labels_leads_to_nothing() {
    let (alice, bob, carol) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &carol]);
    world.say(&alice, room(1), "hi");
    world.settle();
    world.machine(&alice).rotate(room(1)).unwrap();
    let row = world.say(&alice, room(1), "again");
    let row = world.row(row);
    let envelope = world.server.envelopes[&bob][0].clone();
    let mut other_sender = envelope.clone();
    other_sender.sender = carol.clone();
    let mut other_device = envelope.clone();
    other_device.sender = address(1, "desk");
    let mut for_another = world.server.envelopes[&carol][0].clone();
    for_another.sender = alice.clone();
    let refused = [
        (other_sender, Received::Refused(EnvelopeRefusal::UnknownDevice)),
        (other_device, Received::Refused(EnvelopeRefusal::OtherDevice)),
        (for_another, Received::Undecryptable { from: alice.clone() }),
    ];
    for (envelope, expected) in refused {
        assert_eq!(world.receive(&bob, &envelope).unwrap(), expected);
        assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
    }
    assert!(matches!(world.receive(&bob, &envelope).unwrap(), Received::Key { .. }));
    assert_eq!(world.receive(&bob, &envelope).unwrap(), Received::Duplicate);
    world.read(&bob, &row);
}

#[test]
fn a_key_under_another_rooms_label_is_refused() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    for change in 0..3 {
        let mut world = World::of(&[&alice, &bob]);
        let row = world.say(&alice, room(1), "hi");
        let mut envelope = world.server.envelopes[&bob][0].clone();
        match change {
            0 => envelope.group = Some(room(2)),
            1 => envelope.group = None,
            _ => envelope.kind = 3,
        }
        let received = world.receive(&bob, &envelope).unwrap();
        assert_eq!(received, Received::Refused(EnvelopeRefusal::OtherLabel));
        let row = world.row(row);
        assert!(matches!(world.open(&bob, &row), Opened::Locked { .. }));
    }
}

#[test]
fn who_publishes_the_identity_key_of_another_does_not_disturb_them() {
    let (alice, bob, mallory) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &mallory]);
    // Mallory signs a bundle that has Bob's identity key, and is talked to first.
    let identity = world.machine(&bob).curve25519();
    let (mut bundle, key) = (world.server.show(mallory.account).remove(0), Ed25519Keypair::new());
    bundle.identity_key = vodozemac::base64_decode(identity).unwrap();
    forge(&mut bundle, &key);
    world.server.replace(&mallory, Some(bundle));
    world.look_up(&alice, mallory.account).unwrap();
    world.say(&alice, room(1), "to all three");
    world.server.members.get_mut(&room(1)).unwrap().remove(&mallory.account);
    let row = world.say(&alice, room(1), "to bob");
    world.settle();
    let row = world.row(row);
    world.read(&bob, &row);
    assert_eq!(world.texts(&bob).len(), 2);
}

/// Signs a bundle anew with another key, as the server or its owner could.
fn forge(bundle: &mut PublicBundle, key: &Ed25519Keypair) {
    bundle.meta["ed25519"] = key.public_key().to_base64().into();
    let mut bytes = Vec::new();
    let text = |bytes: &mut Vec<u8>, part: &[u8]| {
        bytes.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part);
    };
    text(&mut bytes, b"launcher bundle v1");
    text(&mut bytes, bundle.algorithm.as_bytes());
    bytes.extend(bundle.address.account.as_bytes());
    text(&mut bytes, bundle.address.device.as_str().as_bytes());
    bytes.extend(&bundle.identity_key);
    bytes.extend(key.public_key().as_bytes());
    bytes.extend(bundle.meta["generation"].as_u64().unwrap().to_be_bytes());
    bytes.extend(bundle.signed_pre_key.id.to_be_bytes());
    bytes.extend(&bundle.signed_pre_key.key);
    let list = bundle.meta["one_time_keys"].as_str().unwrap();
    text(&mut bytes, &vodozemac::base64_decode(list).unwrap());
    bundle.signed_pre_key.signature = key.sign(&bytes).to_bytes().to_vec();
}

#[test]
fn a_device_that_nobody_knows_is_looked_up_once_and_then_refused() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "hi");
    let envelope = world.server.envelopes[&bob][0].clone();
    world.server.replace(&alice, None);
    let received = world.receive(&bob, &envelope).unwrap();
    assert_eq!(received, Received::Refused(EnvelopeRefusal::UnknownDevice));
}

#[test]
fn invented_rows_are_asked_for_within_bounds() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.settle();
    let row = world.row(row);
    let mut asked = 0;
    for number in 0..100 {
        let mut invented = row.clone();
        invented.ciphertext[1..33].fill(number);
        match world.open(&bob, &invented) {
            Opened::Locked { will_ask } => asked += usize::from(will_ask),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked, 20);
    for _ in 0..10 {
        world.wait(2 * 60 * 60 * 1000);
        let now = world.now;
        let work = world.machine(&bob).work(now).unwrap();
        assert!(work.deliver.len() <= 20);
        for fanout in &work.deliver {
            world.machine(&bob).delivered(fanout).unwrap();
        }
    }
    let now = world.now;
    assert!(world.machine(&bob).work(now).unwrap().deliver.is_empty());
    world.read(&bob, &row);
}

#[test]
fn sessions_that_were_asked_for_in_vain_make_room_for_others() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let row = world.say(&alice, room(1), "hi");
    world.settle();
    let row = world.row(row);
    let will_ask = |world: &mut World, sender: u8, number: u16| {
        let mut invented = row.clone();
        invented.sender = account(sender);
        invented.ciphertext[1..33].fill(sender);
        invented.ciphertext[1..3].copy_from_slice(&number.to_be_bytes());
        matches!(world.open(&bob, &invented), Opened::Locked { will_ask: true })
    };
    // More of each account, and of all, than are remembered.
    for sender in 10..22 {
        for number in 0..240 {
            assert!(will_ask(&mut world, sender, number), "{sender} {number}");
            if number % 20 < 19 {
                continue;
            }
            for _ in 0..3 {
                world.wait(2 * 60 * 60 * 1000);
                let now = world.now;
                // The account has no device that could be asked.
                world.machine(&bob).devices(account(sender), &[], now).unwrap();
                let work = world.machine(&bob).work(now).unwrap();
                assert!(work.deliver.is_empty() && work.look_up.is_empty());
            }
        }
    }
    assert!(will_ask(&mut world, 1, 0), "who comes after the flood");
}

#[test]
fn any_bytes_are_an_envelope_that_leads_to_nothing() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    world.say(&alice, room(1), "hi");
    let envelope = world.server.envelopes[&bob][0].clone();
    for length in 0..envelope.ciphertext.len() {
        let mut cut = envelope.clone();
        cut.ciphertext.truncate(length);
        let received = world.receive(&bob, &cut).unwrap();
        assert!(!matches!(received, Received::Key { .. }), "{length}");
    }
    for position in 0..envelope.ciphertext.len() {
        let mut flipped = envelope.clone();
        flipped.ciphertext[position] ^= 1;
        let received = world.receive(&bob, &flipped).unwrap();
        assert!(!matches!(received, Received::Key { .. }), "{position}");
    }
    assert!(matches!(world.receive(&bob, &envelope).unwrap(), Received::Key { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })]

    /// Envelopes of several sessions arrive in any order, some twice, some
    /// never; whoever lacks a key asks, and reads everything in the end.
    #[test]
    fn whatever_becomes_of_envelopes_everything_is_read_in_the_end(
        order in prop::collection::vec((any::<usize>(), any::<bool>(), any::<bool>()), 6..12),
    ) {
        let (alice, bob) = (address(1, "phone"), address(2, "phone"));
        let mut world = World::of(&[&alice, &bob]);
        let messages = order.len();
        for number in 0..messages {
            world.machine(&alice).rotate(room(1)).unwrap();
            world.say(&alice, room(1), &format!("message {number}"));
        }
        let mut waiting = world.server.envelopes.remove(&bob).unwrap();
        for (number, is_dropped, is_twice) in order {
            let envelope = waiting.remove(number % waiting.len());
            if !is_dropped {
                world.receive(&bob, &envelope).unwrap();
            }
            if is_twice && !is_dropped {
                prop_assert_eq!(world.receive(&bob, &envelope).unwrap(), Received::Duplicate);
            }
        }
        let texts = world.texts(&bob);
        prop_assert!(texts.len() <= messages);
        world.settle();
        world.wait(11 * 1000);
        world.settle();
        prop_assert_eq!(world.texts(&bob).len(), messages);
        prop_assert_eq!(world.machine(&bob).known(account(1)).unwrap().len(), 1);
    }
}
