//! The server shows rows as it likes: in any order, again, under other labels,
//! in other rooms, with other bytes.

use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

use launcher_messager::crypto::{
    Action, Address, Machine, Opened, Place, Refusal, Row, RowId, RowKind,
};
use proptest::prelude::*;
use vodozemac::megolm::MegolmMessage;

use crate::world::{World, account, address, copy_store, draft, folder, key, room};

/// What honest devices wrote, and the store of one who has all keys and has
/// read nothing yet.
struct Scene {
    rows: Vec<Row>,
    store: BTreeMap<PathBuf, Vec<u8>>,
    name: PathBuf,
    reader: Address,
    now: u64,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let reader = address(1, "reader");
        let writers = [address(2, "phone"), address(2, "desk"), address(3, "phone")];
        let mut world = World::of(&[&reader, &writers[0], &writers[1], &writers[2]]);
        let members = world.server.members[&room(1)].clone();
        world.server.members.insert(room(2), members);
        let mut first = Vec::new();
        for writer in &writers {
            for number in 0..2 {
                first.push(world.say(writer, room(1), &format!("{writer:?} one {number}")));
            }
            world.say(writer, room(2), &format!("{writer:?} two"));
        }
        let edit = Action::Edit { target: first[0] };
        world.send(&writers[0], &draft(room(1), "an edit", edit));
        world.send(&writers[2], &draft(room(1), "a deletion", Action::Delete { target: first[4] }));
        world.settle();
        let path = world.path(&reader);
        let (rows, now) = (world.server.rows.clone(), world.now);
        // Closed, so that all of it is in one file.
        drop(std::mem::replace(world.machine(&reader), {
            let other = folder();
            Machine::create(&other.path().join("other.db"), &key(), &reader, 0).unwrap()
        }));
        let store = copy_store(&path);
        Scene { rows, store, name: path, reader, now }
    })
}

/// One thing that the server says differently.
#[derive(Clone, Debug)]
enum Lie {
    Room,
    Sender,
    Kind(u8, usize),
    MessageType(u8),
    ClientMessageId(usize),
    NoClientMessageId,
    Epoch(i64),
    FreshId(u8),
    IdOf(usize),
    FlipByte(usize, u8),
    Cut(usize),
    CiphertextOf(usize),
    HeaderOf(usize),
    Scheme,
}

fn lie() -> impl Strategy<Value = Lie> {
    prop_oneof![
        Just(Lie::Room),
        Just(Lie::Sender),
        (0..3_u8, any::<usize>()).prop_map(|(kind, row)| Lie::Kind(kind, row)),
        (0..3_u8).prop_map(Lie::MessageType),
        any::<usize>().prop_map(Lie::ClientMessageId),
        Just(Lie::NoClientMessageId),
        (-1..5_i64).prop_map(Lie::Epoch),
        any::<u8>().prop_map(Lie::FreshId),
        any::<usize>().prop_map(Lie::IdOf),
        (any::<usize>(), 0..8_u8).prop_map(|(byte, bit)| Lie::FlipByte(byte, bit)),
        any::<usize>().prop_map(Lie::Cut),
        any::<usize>().prop_map(Lie::CiphertextOf),
        any::<usize>().prop_map(Lie::HeaderOf),
        Just(Lie::Scheme),
    ]
}

fn tell(row: &mut Row, lie: &Lie, rows: &[Row]) {
    let other = |number: &usize| &rows[number % rows.len()];
    match lie {
        Lie::Room => row.room = if row.room == room(1) { room(2) } else { room(1) },
        Lie::Sender => row.sender = if row.sender == account(2) { account(3) } else { account(2) },
        Lie::Kind(0, _) => row.kind = RowKind::Message,
        Lie::Kind(1, number) => row.kind = RowKind::Update { of: other(number).id },
        Lie::Kind(_, number) => row.kind = RowKind::Delete { of: other(number).id },
        Lie::MessageType(number) => {
            let labels = ["content.new", "content.edit", "content.delete"];
            row.message_type = labels[usize::from(*number)].to_owned();
        }
        Lie::ClientMessageId(number) => {
            row.client_message_id.clone_from(&other(number).client_message_id);
        }
        Lie::NoClientMessageId => row.client_message_id = None,
        Lie::Epoch(epoch) => row.epoch = *epoch,
        Lie::FreshId(number) => row.id = RowId::from_bytes([*number; 16]),
        Lie::IdOf(number) => row.id = other(number).id,
        Lie::FlipByte(byte, bit) => {
            let length = row.ciphertext.len().max(1);
            row.ciphertext
                .iter_mut()
                .skip(byte % length)
                .take(1)
                .for_each(|byte| *byte ^= 1 << bit);
        }
        Lie::Cut(length) => row.ciphertext.truncate(length % row.ciphertext.len().max(1)),
        Lie::CiphertextOf(number) => row.ciphertext.clone_from(&other(number).ciphertext),
        Lie::HeaderOf(number) => {
            let header = other(number).ciphertext[..65].to_vec();
            row.ciphertext.splice(..65.min(row.ciphertext.len()), header);
        }
        Lie::Scheme => row.scheme.push('0'),
    }
}

/// A row of the scene, and the lies that are told about it.
fn shown() -> impl Strategy<Value = (usize, Vec<Lie>)> {
    (any::<usize>(), prop::collection::vec(lie(), 0..3))
}

/// What is true of a ciphertext, from the honest server's labels.
fn truth<'a>(rows: &'a [Row], ciphertext: &[u8]) -> Option<&'a Row> {
    // The row that it was sent for, not the copy in an edited message's.
    rows.iter().rfind(|row| row.ciphertext == ciphertext)
}

fn play(shown: &[(usize, Vec<Lie>)]) -> Result<(), TestCaseError> {
    let scene = scene();
    let elsewhere = folder();
    let path = elsewhere.path().join(scene.name.file_name().unwrap());
    for (file, bytes) in &scene.store {
        std::fs::write(elsewhere.path().join(file.file_name().unwrap()), bytes).unwrap();
    }
    let mut machine = Machine::open(&path, &key(), &scene.reader).unwrap().unwrap();
    let mut homes: BTreeMap<Place, RowId> = BTreeMap::new();
    let mut held: BTreeMap<RowId, String> = BTreeMap::new();
    for (number, lies) in shown {
        let honest = &scene.rows[number % scene.rows.len()];
        let mut row = honest.clone();
        lies.iter().for_each(|lie| tell(&mut row, lie, &scene.rows));
        let opened = machine.open_row(&row, scene.now).unwrap();
        let Opened::Read(read) = opened else {
            // Nobody is kept out by what was shown before and refused; only by what
            // was read in this row, from its place, or in the row that it is about.
            let of = match row.kind {
                RowKind::Message => row.id,
                RowKind::Update { of } | RowKind::Delete { of } => of,
            };
            let is_free = !homes.values().any(|id| *id == row.id || *id == of)
                && !homes.keys().any(|place| is_at(honest, *place));
            if lies.is_empty() && is_free {
                prop_assert!(false, "an honest row got {opened:?}");
            }
            continue;
        };
        let content = &read.content;
        let truth = truth(&scene.rows, &row.ciphertext);
        prop_assert!(truth.is_some(), "something was read that nobody wrote");
        let truth = truth.unwrap();
        prop_assert_eq!(content.room, truth.room);
        prop_assert_eq!(row.room, truth.room);
        prop_assert_eq!(row.sender, truth.sender);
        prop_assert_eq!(content.sender.account, truth.sender);
        prop_assert_eq!(content.action.label(), row.message_type.as_str());
        prop_assert_eq!(i64::try_from(content.epoch).unwrap(), row.epoch);
        prop_assert_eq!(Some(&content.client_message_id), truth.client_message_id.as_ref());
        match (row.kind, content.action) {
            (RowKind::Message, Action::Edit { target }) => {
                prop_assert_eq!(target, row.id);
                continue;
            }
            (RowKind::Message, Action::New) => {}
            (RowKind::Update { of }, Action::Edit { target })
            | (RowKind::Delete { of }, Action::Delete { target }) => prop_assert_eq!(of, target),
            (kind, action) => prop_assert!(false, "{kind:?} has {action:?}"),
        }
        prop_assert_eq!(row.client_message_id.as_ref(), Some(&content.client_message_id));
        let home = *homes.entry(read.place).or_insert(row.id);
        prop_assert_eq!(home, row.id, "one place in two rows");
        let name = held.entry(row.id).or_insert_with(|| content.client_message_id.clone());
        prop_assert_eq!(&*name, &content.client_message_id, "two messages in one row");
    }
    Ok(())
}

/// Whether a row's ciphertext is the one of a place.
fn is_at(row: &Row, place: Place) -> bool {
    let message = MegolmMessage::from_bytes(&row.ciphertext[65..]).unwrap();
    row.ciphertext[1..33] == place.session.as_bytes()[..] && message.message_index() == place.index
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_is_read_that_its_sender_did_not_write_there(
        shown in prop::collection::vec(shown(), 1..8),
    ) {
        play(&shown)?;
    }
}

/// A world with two rows of one person's that another has read or not.
fn told() -> (World, Address, Row, Row) {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let (one, two) = (world.say(&alice, room(1), "one"), world.say(&alice, room(1), "two"));
    world.settle();
    let (one, two) = (world.row(one), world.row(two));
    (world, bob, one, two)
}

fn refusal(world: &mut World, who: &Address, row: &Row) -> Refusal {
    match world.open(who, row) {
        Opened::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_lie_has_its_name() {
    let (mut world, bob, one, two) = told();
    let mut check = |expected: Refusal, lie: &dyn Fn(&mut Row)| {
        let mut row = one.clone();
        lie(&mut row);
        assert_eq!(refusal(&mut world, &bob, &row), expected);
    };
    check(Refusal::OtherRoom, &|row| row.room = room(2));
    check(Refusal::OtherSender, &|row| row.sender = account(3));
    check(Refusal::OtherAction, &|row| row.message_type = "content.edit".to_owned());
    check(Refusal::OtherAction, &|row| row.kind = RowKind::Update { of: two.id });
    check(Refusal::OtherClientMessageId, &|row| row.client_message_id = None);
    check(Refusal::OtherEpoch, &|row| row.epoch += 1);
    check(Refusal::Scheme, &|row| row.scheme = "megolm.v1".to_owned());
    check(Refusal::Malformed, &|row| row.ciphertext.truncate(70));
    check(Refusal::Malformed, &|row| row.ciphertext = vec![1; 70_000]);
    check(Refusal::Forged, &|row| {
        let last = row.ciphertext.len() - 1;
        row.ciphertext[last] ^= 1;
    });
}

#[test]
fn other_bytes_that_mean_the_same_are_not_read() {
    let (mut world, bob, one, _) = told();
    // The index 0 is left out: a field that is not known, with a default that is.
    let mut other_form = one.clone();
    assert_eq!(other_form.ciphertext[66..68], [0x08, 0]);
    other_form.ciphertext[66] = 0x18;
    assert_eq!(refusal(&mut world, &bob, &other_form), Refusal::Malformed);
    world.read(&bob, &one);
}

#[test]
fn an_own_row_is_compared_like_any_other() {
    let alice = address(1, "phone");
    let mut world = World::of(&[&alice]);
    let row = world.say(&alice, room(1), "hi");
    let row = world.row(row);
    let mut elsewhere = row.clone();
    elsewhere.room = room(2);
    assert_eq!(refusal(&mut world, &alice, &elsewhere), Refusal::OtherRoom);
    let mut of_another = row.clone();
    of_another.sender = account(2);
    assert_eq!(refusal(&mut world, &alice, &of_another), Refusal::OtherSender);
    assert!(world.read(&alice, &row).is_own);
}

#[test]
fn a_row_that_was_refused_does_not_keep_the_true_one_out() {
    let (mut world, bob, one, _) = told();
    let mut false_one = one.clone();
    false_one.client_message_id = Some("something else".to_owned());
    refusal(&mut world, &bob, &false_one);
    assert!(!world.read(&bob, &one).was_read);
}

#[test]
fn a_message_is_not_read_a_second_time_from_another_row() {
    let (mut world, bob, one, two) = told();
    world.read(&bob, &one);
    let mut again = one.clone();
    again.id = RowId::from_bytes([99; 16]);
    assert_eq!(refusal(&mut world, &bob, &again), Refusal::Replayed);
    world.restart(&bob);
    assert_eq!(refusal(&mut world, &bob, &again), Refusal::Replayed);
    let mut moved = two.clone();
    moved.id = one.id;
    assert_eq!(refusal(&mut world, &bob, &moved), Refusal::RowTaken);
    let mut altered = one.clone();
    let last = altered.ciphertext.len() - 1;
    altered.ciphertext[last] ^= 1;
    assert_eq!(refusal(&mut world, &bob, &altered), Refusal::Altered);
}

#[test]
fn two_encryptions_of_one_message_are_one_message() {
    let (alice, bob) = (address(1, "phone"), address(2, "phone"));
    let mut world = World::of(&[&alice, &bob]);
    let said = draft(room(1), "one", Action::New);
    // The server takes it, and says nothing.
    let before = world.server.clone();
    world.server.is_silent = true;
    while world.server.rows.is_empty() {
        world.send_once(&alice, &said).unwrap();
    }
    world.server.is_silent = false;
    world.settle();
    let first = world.server.rows[0].clone();
    // It says that it has nothing, when the session has been given up.
    world.server.rows = before.rows;
    world.server.forget_posts();
    world.machine(&alice).rotate(room(1)).unwrap();
    let second = world.send(&alice, &said);
    world.settle();
    let second = world.row(second);
    assert_ne!(first.ciphertext, second.ciphertext);
    for device in [&bob, &alice] {
        world.read(device, &first);
        assert_eq!(refusal(&mut world, device, &second), Refusal::Repeated);
    }
}

#[test]
fn nobody_changes_the_message_of_another() {
    let (alice, bob, carol) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &carol]);
    let theirs = world.say(&alice, room(1), "hers");
    let own = world.say(&carol, room(1), "own");
    // A server that lets Carol edit what is not hers.
    let index = world.server.rows.iter().position(|row| row.id == theirs).unwrap();
    world.server.rows[index].sender = carol.account;
    world.send(&carol, &draft(room(1), "an edit", Action::Edit { target: theirs }));
    world.server.rows[index].sender = alice.account;
    world.settle();
    let (own, update) = (world.row(own), world.server.rows.last().unwrap().clone());
    let original = world.row(theirs);
    world.read(&bob, &own);
    // The message itself is not there any more: its row has Carol's ciphertext.
    assert_eq!(refusal(&mut world, &bob, &original), Refusal::OtherSender);
    world.read(&carol, &update);
    let mut copy = original.clone();
    copy.sender = carol.account;
    // Bob has not read Alice's message, so it is Carol's word against nobody's.
    world.read(&bob, &copy);
}

#[test]
fn an_edit_of_a_message_that_was_read_has_to_be_its_authors() {
    let (alice, bob, carol) = (address(1, "phone"), address(2, "phone"), address(3, "phone"));
    let mut world = World::of(&[&alice, &bob, &carol]);
    let theirs = world.say(&alice, room(1), "hers");
    world.settle();
    let row = world.row(theirs);
    world.read(&bob, &row);
    let index = world.server.rows.iter().position(|row| row.id == theirs).unwrap();
    world.server.rows[index].sender = carol.account;
    world.send(&carol, &draft(room(1), "an edit", Action::Edit { target: theirs }));
    world.settle();
    let (update, copy) = (world.server.rows.last().unwrap().clone(), world.row(theirs));
    assert_eq!(refusal(&mut world, &bob, &update), Refusal::NotTheirs);
    assert_eq!(refusal(&mut world, &bob, &copy), Refusal::NotTheirs);
}
