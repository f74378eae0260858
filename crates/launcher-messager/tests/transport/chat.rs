//! People who talk to each other.

use std::{fs, path::Path};

use launcher_messager::{
    chat::{ChatError, DeviceNews, Happening, Message, RefusedFor, Trust},
    client::{Delivery, Group, MemberState},
    crypto::{Action, Audience, Body, Draft, Fanout, RoomId, Step},
};

use crate::{
    lies::change,
    people::{Person, polled},
    person,
    world::{Device, NOW, World, soon},
};

/// Stands in every text, and must stand nowhere else.
const MARKER: &str = "MARKER";

async fn pair(world: &World) -> (Person, Person, RoomId) {
    let mut ann = Person::new(world, "ann").await;
    let mut ben = Person::new(world, "ben").await;
    let room = ann.befriend(&mut ben).await;
    (ann, ben, room)
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

#[tokio::test]
async fn two_people_talk_in_a_direct_chat() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    let hello = ann.chat.send(room, "hello", None).await.unwrap();
    let heard = ben.message().await;
    assert_eq!((heard.row, heard.text.as_str(), heard.name.as_str()), (hello, "hello", "ann"));
    assert_eq!((heard.trust, &heard.device), (Trust::FirstSeen, &ann.chat.me().device));
    let answer = ben.chat.send(room, "hello yourself", Some(hello)).await.unwrap();
    let heard = ann.message().await;
    assert_eq!((heard.row, heard.reply_to), (answer, Some(hello)));
    assert_eq!(texts(&ann.chat.history(room, 10).unwrap()), ["hello"], "noted when it was told");
    assert_eq!(ann.chat.open_direct(ben.id()).await.unwrap(), room);
    assert_eq!(ben.chat.open_direct(ann.id()).await.unwrap(), room);
    let number = ann.chat.safety_number(ben.id()).await.unwrap().unwrap();
    assert_eq!(ben.chat.safety_number(ann.id()).await.unwrap(), Some(number));
}

#[tokio::test]
async fn a_message_is_told_to_its_writer_as_well() {
    let world = World::start().await;
    let (mut ann, _ben, room) = pair(&world).await;
    let row = ann.chat.send(room, "hello", None).await.unwrap();
    let own = ann.until(|happening| match happening {
        Happening::Message(message) => Some(message.clone()),
        _ => None,
    });
    let own = own.await;
    assert_eq!((own.row, own.is_own, own.trust), (row, true, Trust::Own));
}

#[tokio::test]
async fn a_group_of_three_hears_everybody() {
    let world = World::start().await;
    let mut people = Vec::new();
    for name in ["ann", "ben", "cleo"] {
        people.push(Person::new(&world, name).await);
    }
    let [mut ann, mut ben, mut cleo] = <[Person; 3]>::try_from(people).ok().unwrap();
    let room = ann.chat.create_group("the group").await.unwrap();
    ann.bring(room, &mut ben).await;
    ann.bring(room, &mut cleo).await;
    ann.chat.send(room, "from ann", None).await.unwrap();
    ben.chat.send(room, "from ben", None).await.unwrap();
    cleo.chat.send(room, "from cleo", None).await.unwrap();
    for (person, wanted) in [
        (&mut ann, ["from ben", "from cleo"]),
        (&mut ben, ["from ann", "from cleo"]),
        (&mut cleo, ["from ann", "from ben"]),
    ] {
        assert_eq!([person.message().await.text, person.message().await.text], wanted);
    }
}

#[tokio::test]
async fn a_message_is_edited_and_deleted() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    let row = ann.chat.send(room, "hello", None).await.unwrap();
    ben.message().await;
    ann.chat.edit(room, row, "hello, ben").await.unwrap();
    let edited = ben.until(|happening| match happening {
        Happening::Edited(message) => Some(message.clone()),
        _ => None,
    });
    let edited = edited.await;
    assert_eq!((edited.row, edited.text.as_str(), edited.is_edited), (row, "hello, ben", true));
    ann.chat.delete(room, row).await.unwrap();
    assert_eq!(texts(&ben.chat.history(room, 10).unwrap()), ["hello"]);
    let deleted = ben.until(|happening| match happening {
        Happening::Deleted { row, by, .. } => Some((*row, *by)),
        _ => None,
    });
    assert_eq!(deleted.await, (row, ann.id()));
    let mut ben = ben.restarted(&world).await;
    assert!(
        ben.chat.history(room, 10).unwrap().is_empty() || {
            // That it was deleted was told, and not yet noted.
            ben.all().await;
            ben.chat.history(room, 10).unwrap().is_empty()
        }
    );
    let refused = ben.chat.edit(room, row, "mine").await.unwrap_err();
    assert!(!refused.is_passing(), "{refused}");
}

#[tokio::test]
async fn who_comes_late_hears_the_last_edit_only_once() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ben.all().await;
    let row = ann.chat.send(room, "first", None).await.unwrap();
    ann.chat.edit(room, row, "second").await.unwrap();
    let mut ben = ben.restarted(&world).await;
    let said: Vec<String> = ben
        .all()
        .await
        .into_iter()
        .filter_map(|happening| match happening {
            Happening::Message(message) | Happening::Edited(message) => Some(message.text),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["second"]);
}

#[tokio::test]
async fn what_was_told_is_not_told_again_and_what_was_not_is() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    for text in ["one", "two", "three"] {
        ann.chat.send(room, text, None).await.unwrap();
    }
    assert_eq!(ben.message().await.text, "one");
    assert_eq!(ben.message().await.text, "two");
    // Killed before it was asked for more: "two" may not have been shown.
    let mut ben = ben.restarted(&world).await;
    assert_eq!(ben.message().await.text, "two");
    assert_eq!(ben.message().await.text, "three");
    ben.all().await;
    let mut ben = ben.restarted(&world).await;
    let again = ben.all().await;
    assert!(!again.iter().any(|told| matches!(told, Happening::Message(_))), "{again:?}");
    assert_eq!(texts(&ben.chat.history(room, 10).unwrap()), ["one", "two", "three"]);
    assert_eq!(texts(&ben.chat.history(room, 2).unwrap()), ["two", "three"]);
}

#[tokio::test]
async fn a_message_that_is_cut_off_anywhere_is_sent_once() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ann.all().await;
    let mut sent = Vec::new();
    for polls in 1.. {
        // Devices are looked up anew, and a session begins anew after the restart.
        ann.wait(61_000);
        let text = format!("cut off after {polls}");
        let done = soon(polled(polls, ann.chat.send(room, &text, None))).await;
        sent.push(text);
        if done.is_some() {
            break;
        }
        ann = ann.restarted(&world).await;
        ann.all().await;
    }
    assert!(sent.len() > 5, "there was nothing to be cut off");
    for text in &sent {
        assert_eq!(ben.message().await.text, *text);
    }
    let client = world.client("ann");
    let rows = client.sync_room(room, 0).await.unwrap().rows;
    let messages = rows
        .iter()
        .filter(|row| matches!(row.kind, launcher_messager::client::TimelineKind::Encrypted(_)));
    assert_eq!(messages.count(), sent.len());
}

#[tokio::test]
async fn nothing_is_lost_by_giving_up_waiting() {
    let world = World::start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let room = ann.chat.create_group("the group").await.unwrap();
    ann.bring(room, &mut ben).await;
    ben.all().await;
    let (mut heard, mut wanted) = (Vec::new(), Vec::new());
    for polls in 1..=6 {
        // Of a guest ben knows no device: there is something to be asked for
        // while the key is taken in.
        let name = format!("guest-{polls}");
        let mut guest = Person::new(&world, &name).await;
        ann.bring(room, &mut guest).await;
        guest.chat.send(room, &name, None).await.unwrap();
        wanted.push(name);
        for _ in 0..6 {
            if heard.len() == wanted.len() {
                break;
            }
            if let Some(happening) = polled(polls, ben.chat.next()).await
                && let Happening::Message(message) = happening.unwrap()
            {
                heard.push(message.text);
            }
        }
    }
    while heard.len() < wanted.len() {
        heard.push(ben.message().await.text);
    }
    assert_eq!(heard, wanted);
}

#[tokio::test]
async fn a_server_that_never_runs_out_of_envelopes_keeps_no_message_back() {
    let mut world = World::start().await;
    let (mut ann, ben, room) = pair(&world).await;
    ann.chat.send(room, "hello", None).await.unwrap();
    let forget_acknowledgments = "CREATE TRIGGER forget BEFORE UPDATE ON envelopes
         WHEN new.status = 2 BEGIN SELECT RAISE(IGNORE); END";
    change(&mut world, forget_acknowledgments).await;
    let mut ben = ben.restarted(&world).await;
    assert_eq!(ben.message().await.text, "hello");
}

#[tokio::test]
async fn a_message_is_kept_while_the_server_is_away() {
    let mut world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ann.all().await;
    ben.all().await;
    world.stop().await;
    for person in [&mut ann, &mut ben] {
        let offline =
            |happening: &Happening| matches!(happening, Happening::Offline { .. }).then_some(());
        person.until(offline).await;
    }
    for text in ["first", "second"] {
        let kept = ann.chat.send(room, text, None).await.unwrap_err();
        assert!(matches!(kept, ChatError::Kept(_)) && kept.is_passing(), "{kept}");
    }
    world.come_back().await;
    ann.until(|happening| matches!(happening, Happening::Online).then_some(())).await;
    assert_eq!(ben.message().await.text, "first");
    assert_eq!(ben.message().await.text, "second");
    ben.chat.send(room, "welcome back", None).await.unwrap();
    assert_eq!(ann.message().await.text, "welcome back");
}

#[tokio::test]
async fn a_key_that_comes_late_opens_what_was_locked() {
    let world = World::start().await;
    let mut ben = Person::new(&world, "ben").await;
    let mut ann = world.device("ann").await;
    let room = ann.client.create_direct(ben.id(), launcher_messager::client::Direct::Encrypted);
    let room = room.await.unwrap().id;
    ben.chat.accept(room).await.unwrap();
    let keys = post_without_keys(&mut ann, room, &ben, "late").await;
    let is_locked = |happening: &Happening| match happening {
        Happening::Locked { row, name, .. } => Some((*row, name.clone())),
        _ => None,
    };
    let (row, name) = ben.until(is_locked).await;
    assert_eq!(name, "ann");
    let mut ben = ben.restarted(&world).await;
    for fanout in keys {
        assert_eq!(ann.client.fanout(&fanout).await.unwrap(), Delivery::Taken);
    }
    let message = ben.message().await;
    assert_eq!((message.row, message.text.as_str()), (row, "late"));
    let ben = ben.restarted(&world).await.all().await;
    let told = ben.iter().filter(|told| matches!(told, Happening::Message(_)));
    assert_eq!(told.count(), 1, "that it was told was not noted yet");
}

/// Has a row written while its keys are still on their way; gives those.
async fn post_without_keys(
    from: &mut Device,
    room: RoomId,
    to: &Person,
    text: &str,
) -> Vec<Fanout> {
    let Device { client, machine, me, .. } = from;
    let client_message_id = "late".to_owned();
    let body = Body::text(text);
    let draft = Draft { room, client_message_id, action: Action::New, body };
    let members = [me.account, to.id()].into_iter().collect();
    let audience = Audience { members, ..Audience::default() };
    let mut keys = Vec::new();
    loop {
        match machine.send(&draft, &audience, NOW).unwrap() {
            Step::LookUp(accounts) => {
                for account in accounts {
                    let shown = client.devices(account).await.unwrap();
                    machine.devices(account, &shown, NOW).unwrap();
                }
            }
            Step::Claim(accounts) => {
                for account in accounts {
                    let shown = client.claim(account).await.unwrap();
                    machine.claimed(account, &shown, NOW).unwrap();
                }
            }
            Step::Deliver(fanouts) => {
                for fanout in fanouts {
                    machine.delivered(&fanout).unwrap();
                    keys.push(fanout);
                }
            }
            Step::Post(sealed) => {
                let row = client.post(&sealed).await.unwrap();
                machine.posted(&draft.client_message_id, row).unwrap();
            }
            Step::Posted(_) => return keys,
        }
    }
}

#[tokio::test]
async fn a_key_that_never_came_is_asked_for() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ann.chat.send(room, "known", None).await.unwrap();
    ben.message().await;
    // What waits for ben is lost: acknowledged by somebody with his token,
    // before he asks for it.
    let mut ben = ben.restarted(&world).await;
    let thief = ben.client(&world);
    ann.wait(8 * 24 * 60 * 60 * 1000);
    ann.chat.send(room, "lost", None).await.unwrap();
    for envelope in thief.pending_envelopes().await.unwrap().envelopes {
        thief.acknowledge(envelope.id).await.unwrap();
    }
    let is_locked =
        |happening: &Happening| matches!(happening, Happening::Locked { .. }).then_some(());
    ben.until(is_locked).await;
    ben.wait(11_000);
    let answering = tokio::spawn(async move {
        loop {
            ann.chat.next().await.unwrap();
        }
    });
    assert_eq!(ben.message().await.text, "lost");
    answering.abort();
}

#[tokio::test]
async fn a_new_device_is_told_and_reads_what_is_written_from_then_on() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ann.chat.send(room, "before", None).await.unwrap();
    ben.message().await;
    let mut tablet = Person::new(&world, "ben").await;
    ann.wait(61_000);
    ann.chat.send(room, "after", None).await.unwrap();
    let new = |happening: &Happening| match happening {
        Happening::Device { address, news: DeviceNews::New } => Some(address.device.clone()),
        _ => None,
    };
    assert_eq!(ann.until(new).await, tablet.chat.me().device);
    assert_eq!(tablet.message().await.text, "after");
    assert_eq!(ben.message().await.text, "after");
    let answer = tablet.chat.send(room, "from the tablet", None).await.unwrap();
    let heard = ann.message().await;
    assert_eq!((heard.row, heard.trust), (answer, Trust::Late));
    let own = ben.until(|happening| match happening {
        Happening::Message(message) if message.is_own => Some(message.clone()),
        _ => None,
    });
    assert_eq!(own.await.text, "from the tablet");
    // Whoever was not there when it was found is told at the next start.
    ann.wait(61_000);
    let mut third = Person::new(&world, "ben").await;
    ann.chat.devices(ben.id()).await.unwrap();
    let mut ann = ann.restarted(&world).await;
    assert_eq!(ann.until(new).await, third.chat.me().device);
    third.all().await;
}

#[tokio::test]
async fn a_device_with_other_keys_is_given_nothing_until_a_person_accepts_them() {
    let world = World::start().await;
    let mut ann = Person::new(&world, "ann").await;
    let token = world.token("ben");
    let mut ben = person::Person::with_token(&world, token.clone()).await;
    let room = ann.chat.open_direct(ben.account).await.unwrap();
    ben.client.accept(room).await.unwrap();
    ann.chat.send(room, "one", None).await.unwrap();
    assert_eq!(ben.hear(room, 1).await, ["one"]);
    // His folder is gone, or it is somebody else with his device's name.
    let mut other = person::Person::with_token(&world, token).await;
    let (address, key) = (other.machine.address().clone(), other.machine.ed25519());
    ann.wait(61_000);
    ann.chat.send(room, "two", None).await.unwrap();
    let told = ann.until(|happening| match happening {
        Happening::Device { address, news: DeviceNews::KeysDisputed } => Some(address.clone()),
        _ => None,
    });
    assert_eq!(told.await, address);
    // What was compared is not what the server shows.
    for wrong in [ben.machine.ed25519().as_str(), "no key"] {
        assert!(!ann.chat.accept_keys(&address, wrong).await.unwrap());
    }
    let mut ann = ann.restarted(&world).await;
    ann.chat.send(room, "three", None).await.unwrap();
    other.catch_up().await;
    assert!(other.heard().is_empty());
    assert!(ann.chat.accept_keys(&address, &key).await.unwrap());
    ann.chat.send(room, "four", None).await.unwrap();
    assert_eq!(other.hear(room, 1).await, ["four"]);
    other.say(room, "it is me").await;
    let heard = ann.message().await;
    assert_eq!((heard.text.as_str(), heard.trust), ("it is me", Trust::Late));
}

#[tokio::test]
async fn who_left_reads_nothing_new_and_who_came_nothing_old() {
    let world = World::start().await;
    let (mut ann, mut ben) = (Person::new(&world, "ann").await, Person::new(&world, "ben").await);
    let mut cleo = Person::new(&world, "cleo").await;
    let room = ann.chat.create_group("the group").await.unwrap();
    ann.bring(room, &mut ben).await;
    ann.chat.send(room, "old", None).await.unwrap();
    assert_eq!(ben.message().await.text, "old");
    ann.bring(room, &mut cleo).await;
    ann.chat.remove(room, ben.id()).await.unwrap();
    ann.chat.send(room, "new", None).await.unwrap();
    assert_eq!(cleo.message().await.text, "new");
    let gone = ben.until(|happening| match happening {
        Happening::Gone { room } => Some(*room),
        Happening::Message(message) => panic!("{message:?}"),
        _ => None,
    });
    assert_eq!(gone.await, room);
    assert!(ben.chat.send(room, "me too", None).await.is_err());
    assert!(ben.chat.rooms().await.unwrap().is_empty());
    let members = ann.chat.members(room).await.unwrap();
    assert!(members.iter().all(|member| member.state == MemberState::Active));
    assert_eq!(members.len(), 2);
    let mut cleo = cleo.restarted(&world).await;
    let told = cleo.all().await;
    let old = told.iter().any(|told| matches!(told, Happening::Message(m) if m.text == "old"));
    assert!(!old, "{told:?}");
}

#[tokio::test]
async fn invitations_are_told_and_declined() {
    let world = World::start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    ben.all().await;
    let room = ann.chat.create_group("the group").await.unwrap();
    ann.chat.invite(room, ben.id()).await.unwrap();
    let invited = |happening: &Happening| match happening {
        Happening::Invited { room, by } => Some((room.id, *by)),
        _ => None,
    };
    assert_eq!(ben.until(invited).await, (room, Some(ann.id())));
    ben.chat.decline(room).await.unwrap();
    assert!(ben.chat.accept(room).await.is_err());
    assert!(matches!(ben.chat.account("nobody").await, Err(ChatError::NoAccount { .. })));
}

#[tokio::test]
async fn nothing_is_written_where_it_is_not_encrypted() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    ann.chat.send(room, "sealed", None).await.unwrap();
    ben.message().await;
    let plain = ann.client(&world).create_group("plain", Group::Plain).await.unwrap();
    let refused = ann.chat.send(plain.id, "in the clear", None).await.unwrap_err();
    assert!(matches!(refused, ChatError::NotEncrypted { .. }), "{refused}");
    // The server takes the encryption back, and says something in the clear.
    downgrade(world.data(), room);
    let refused = ann.chat.send(room, "in the clear", None).await.unwrap_err();
    assert!(matches!(refused, ChatError::Downgraded { .. }), "{refused}");
    let mut ann = ann.restarted(&world).await;
    let refused = ann.chat.send(room, "in the clear", None).await.unwrap_err();
    assert!(matches!(refused, ChatError::Downgraded { .. }), "{refused}");
    ben.say_plainly(&world, room, "hello, all of you").await;
    let plaintext = ann.until(|happening| match happening {
        Happening::Refused { why, .. } => Some(*why),
        _ => None,
    });
    assert_eq!(plaintext.await, RefusedFor::Plaintext);
    assert_nowhere(world.data(), "in the clear");
}

#[tokio::test]
async fn a_device_without_its_folder_gets_no_other_keys() {
    let world = World::start().await;
    let (mut ann, ben, room) = pair(&world).await;
    ann.chat.send(room, "hello", None).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&ann.folder.path().join("chat"), &copy.path().join("chat"));
    let ann = ann.restarted(&world).await;
    let error = ann.elsewhere(&world, &copy).await.unwrap_err();
    assert!(matches!(error, ChatError::Copied), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = ben.elsewhere(&world, &empty).await.unwrap_err();
    assert!(matches!(error, ChatError::OtherKeys), "{error}");
    assert!(!empty.path().join("chat/crypto.db").exists());
}

#[tokio::test]
async fn a_folder_is_for_one_process() {
    let world = World::start().await;
    let ann = Person::new(&world, "ann").await;
    let error = ann.second(&world).await.unwrap_err();
    assert!(matches!(error, ChatError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_long_absence_is_told_page_by_page() {
    let world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    for number in 0..520 {
        ann.chat.send(room, &number.to_string(), None).await.unwrap();
    }
    let heard = ben.all().await.into_iter().filter_map(|told| match told {
        Happening::Message(message) => Some(message.text),
        _ => None,
    });
    let wanted: Vec<String> = (0..520).map(|number: u32| number.to_string()).collect();
    assert_eq!(heard.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn nothing_that_is_said_stands_on_a_disk() {
    let mut world = World::start().await;
    let (mut ann, mut ben, room) = pair(&world).await;
    let row = ann.chat.send(room, &format!("{MARKER} one"), None).await.unwrap();
    ben.message().await;
    ann.chat.edit(room, row, &format!("{MARKER} two")).await.unwrap();
    ben.chat.send(room, &format!("{MARKER} three"), Some(row)).await.unwrap();
    ann.message().await;
    ann.chat.delete(room, row).await.unwrap();
    world.stop().await;
    let kept = ann.chat.send(room, &format!("{MARKER} four"), None).await;
    assert!(matches!(kept, Err(ChatError::Kept(_))));
    for folder in [world.data(), ann.folder.path(), ben.folder.path()] {
        assert_nowhere(folder, MARKER);
    }
}

fn assert_nowhere(folder: &Path, text: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, text);
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = memchr::memmem::find(&bytes, text.as_bytes());
            assert!(found.is_none(), "in {}", path.display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Has the server's tables say that a room is not encrypted.
fn downgrade(data: &Path, room: RoomId) {
    let connection = rusqlite::Connection::open(data.join("messager.db")).unwrap();
    let sql = "UPDATE rooms SET mode = 0 WHERE id = ?1";
    assert_eq!(connection.execute(sql, [room.as_bytes()]).unwrap(), 1);
}
