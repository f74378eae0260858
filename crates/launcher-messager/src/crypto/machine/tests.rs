//! Devices that do not do as they should: only from in here can a machine be
//! made to lie about itself.

use launcher_core::secret::Secret;

use super::*;
use crate::crypto::{
    Action, Body, DeviceName, Envelope, EnvelopeId, EnvelopeRefusal, Refusal, RoomId, Row, RowId,
    RowKind, SCHEME, SealedRow,
};

const ROOM: [u8; 16] = [9; 16];

fn address(account: u8, device: &str) -> Address {
    Address::new(AccountId::from_bytes([account; 16]), DeviceName::new(device).unwrap())
}

fn machine(folder: &Path, address: &Address) -> Machine {
    let path = folder.join(format!("{}{}", address.account, address.device.as_str()));
    Machine::create(&path, &Secret::new([1; 32]), address, 0).unwrap()
}

/// Has each know the other, and the first have a session with the second.
fn introduce(one: &mut Machine, other: &mut Machine) {
    let bundle = |machine: &mut Machine| machine.upload(0).unwrap().unwrap().bundle;
    let (first, second) = (bundle(one), bundle(other));
    one.devices(one.me.address.account, std::slice::from_ref(&first), 0).unwrap();
    one.claimed(other.me.address.account, &[second], 0).unwrap();
    other.devices(one.me.address.account, &[first], 0).unwrap();
}

/// Sends a message; `lie` changes the machine when the key was shared.
fn send(
    sender: &mut Machine,
    reader: &mut Machine,
    lie: impl FnOnce(&mut Machine),
) -> (SealedRow, Received) {
    let members = [&*sender, &*reader].map(|machine| machine.me.address.account);
    let audience = Audience { members: members.into(), ..Audience::default() };
    let draft = Draft {
        room: RoomId::from_bytes(ROOM),
        client_message_id: "name".to_owned(),
        action: Action::New,
        body: Body::text("hi"),
    };
    let from = sender.me.address.clone();
    let Step::Deliver(fanouts) = sender.send(&draft, &audience, 0).unwrap() else { panic!() };
    let ciphertext = fanouts[0].payloads[0].ciphertext.clone();
    let id = EnvelopeId::from_bytes([0; 16]);
    let group = fanouts[0].group;
    let envelope = Envelope { id, sender: from, kind: 1, group, ciphertext };
    let received = reader.receive(&envelope, Freshness::JustLookedUp, 0).unwrap();
    sender.delivered(&fanouts[0]).unwrap();
    lie(sender);
    let Step::Post(row) = sender.send(&draft, &audience, 0).unwrap() else { panic!() };
    (row, received)
}

fn open(reader: &mut Machine, sender: AccountId, row: SealedRow) -> Opened {
    let row = Row {
        id: RowId::from_bytes([5; 16]),
        room: row.room,
        sender,
        kind: RowKind::Message,
        scheme: SCHEME.to_owned(),
        epoch: row.epoch,
        message_type: row.action.label().to_owned(),
        client_message_id: Some(row.client_message_id),
        ciphertext: row.ciphertext,
    };
    reader.open_row(&row, 0).unwrap()
}

#[test]
fn a_device_cannot_write_as_another_of_its_account() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, bob) = (address(1, "desk"), address(2, "phone"));
    let (mut desk, mut bob) = (machine(folder.path(), &desk), machine(folder.path(), &bob));
    introduce(&mut desk, &mut bob);
    let (row, received) = send(&mut desk, &mut bob, |desk| desk.me.address = address(1, "phone"));
    assert!(matches!(received, Received::Key { .. }));
    let opened = open(&mut bob, desk.me.address.account, row);
    assert!(matches!(opened, Opened::Refused(Refusal::OtherDevice)), "{opened:?}");
}

#[test]
fn a_device_that_gives_a_key_as_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, bob) = (address(1, "desk"), address(2, "phone"));
    let (mut desk, mut bob) = (machine(folder.path(), &desk), machine(folder.path(), &bob));
    introduce(&mut desk, &mut bob);
    let honest = desk.me.keys;
    let signer = vodozemac::Ed25519Keypair::new();
    desk.me.keys = Keys { ed25519: signer.public_key(), ..honest };
    let (_, received) = send(&mut desk, &mut bob, |_| ());
    assert_eq!(received, Received::Refused(EnvelopeRefusal::OtherEnds));
}
