//! What a server can say that is not so.

use launcher_core::names::RoomId as Room;
use launcher_messager::{
    chat::ChatError,
    client::{Direct, Group, Mode, TimelineKind},
    crypto::{RoomId, SendError},
    socket::{Packet, Socket},
};
use launcher_runtime::ports::{
    Answer, AnswerContent, SendFault,
    outbox::{OutboxError, Outgoing, OutgoingContent},
};
use rusqlite::Connection;

use crate::{
    bot::{Bot, Launcher},
    people,
    person::{Person, TICK},
    toll::Toll,
    world::{World, soon},
};

/// Changes the server's tables while it is away.
pub(crate) async fn change(world: &mut World, sql: &str) {
    world.stop().await;
    let tables = Connection::open(world.data().join("messager.db")).unwrap();
    tables.execute_batch(sql).unwrap();
    drop(tables);
    world.come_back().await;
}

#[tokio::test]
async fn a_room_that_was_encrypted_gets_nothing_in_the_clear_whatever_the_server_says() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    change(&mut world, "UPDATE rooms SET mode = 0").await;
    assert_eq!(ann.client.room(room).await.unwrap().unwrap().mode, Mode::Plain);
    let launcher = bot.start().await;
    let said = launcher.session(&bot).send(&answer(room)).await;
    assert!(matches!(said, Err(SendFault::Refused { .. })), "{said:?}");
    launcher.stop().await;
    let page = ann.client.sync_room(room, 0).await.unwrap();
    let plain = |kind: &TimelineKind| matches!(kind, TimelineKind::Plain { .. });
    assert!(!page.rows.iter().any(|row| plain(&row.kind)));
    ann.catch_up().await;
    assert!(ann.heard_in(room).is_empty());
}

#[tokio::test]
async fn a_third_member_in_a_chat_for_two_is_given_nothing() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ghost = Person::new(&world, "ghost").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    change(
        &mut world,
        "INSERT INTO members (id, room_id, account_id, joined_at, created_at, updated_at)
         SELECT randomblob(16), m.room_id, a.id, m.joined_at, m.created_at, m.updated_at
         FROM accounts a, (SELECT * FROM members LIMIT 1) m WHERE a.name = 'ghost'",
    )
    .await;
    let launcher = bot.start().await;
    let said = launcher.session(&bot).send(&answer(room)).await;
    assert!(matches!(said, Err(SendFault::Refused { .. })), "{said:?}");
    launcher.stop().await;
    ghost.catch_up().await;
    ann.catch_up().await;
    assert!(ghost.heard().is_empty() && ann.heard_in(room).is_empty());
}

/// Shows somebody else in the place of ann, in every room of hers.
const SWAP: &str = "UPDATE members SET leave_at = joined_at
                    WHERE account_id = (SELECT id FROM accounts WHERE name = 'ann');
    INSERT INTO members (id, room_id, account_id, joined_at, created_at, updated_at)
    SELECT randomblob(16), m.room_id, a.id, m.joined_at, m.created_at, m.updated_at
    FROM accounts a, (SELECT * FROM members LIMIT 1) m WHERE a.name = 'ghost'";

/// Makes sure that what is said in a room is not for the ghost.
async fn assert_not_for(ghost: &mut Person, bot: &Bot, launcher: Launcher, room: RoomId) {
    let session = launcher.session(bot);
    let said = session.send(&answer(room)).await;
    assert!(matches!(said, Err(SendFault::Refused { .. })), "{said:?}");
    let message = Outgoing {
        target: ghost.account.to_string().parse().unwrap(),
        key: "k1".to_owned(),
        thread: None,
        notice: false,
        content: OutgoingContent::Text("for the ghost, as an operator thinks".to_owned()),
    };
    let sent = session.outbox().unwrap().send(&message).await;
    let is_no_chat = |reason: &str| reason.contains("nor in an encrypted chat with them");
    let is_refused =
        matches!(&sent, Err(OutboxError::Refused { reason, .. }) if is_no_chat(reason));
    assert!(is_refused, "the chat is with somebody else: {sent:?}");
    drop(session);
    launcher.stop().await;
    ghost.catch_up().await;
    assert!(ghost.heard().is_empty());
}

#[tokio::test]
async fn somebody_else_in_a_chat_for_two_is_given_nothing() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ghost = Person::new(&world, "ghost").await;
    // The invitation says whom it is with.
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    change(&mut world, SWAP).await;
    let launcher = bot.start().await;
    assert_not_for(&mut ghost, &bot, launcher, room).await;
}

#[tokio::test]
async fn a_chat_for_two_is_with_who_first_wrote_there() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ghost = Person::new(&world, "ghost").await;
    let room = ann.client.create_direct(bot.account(), Direct::Encrypted).await.unwrap().id;
    bot.client(&world).accept(room).await.unwrap();
    ann.say(room, "hello").await;
    change(&mut world, SWAP).await;
    let launcher = bot.start().await;
    soon(async {
        while launcher.report(&bot).status(&bot.spec.id, launcher.standing(&bot)).received == 0 {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
    assert_not_for(&mut ghost, &bot, launcher, room).await;
}

#[tokio::test]
async fn a_chat_for_two_is_with_who_was_there_when_something_was_first_sent() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ghost = Person::new(&world, "ghost").await;
    let room = ann.client.create_direct(bot.account(), Direct::Encrypted).await.unwrap().id;
    bot.client(&world).accept(room).await.unwrap();
    let launcher = bot.start().await;
    let first = Answer { transaction: "answer-0".to_owned(), ..answer(room) };
    launcher.session(&bot).send(&first).await.unwrap();
    assert_eq!(ann.hear(room, 1).await, ["an answer"]);
    launcher.stop().await;
    change(&mut world, SWAP).await;
    let launcher = bot.start().await;
    assert_not_for(&mut ghost, &bot, launcher, room).await;
}

#[tokio::test]
async fn a_chat_for_two_that_a_person_has_is_not_with_somebody_else_later() {
    let mut world = World::start().await;
    let mut ann = people::Person::new(&world, "ann").await;
    let mut ben = people::Person::new(&world, "ben").await;
    let mut ghost = Person::new(&world, "ghost").await;
    let room = ben.befriend(&mut ann).await;
    ann.chat.send(room, "hello", None).await.unwrap();
    ben.message().await;
    let mut ben = ben.restarted(&world).await;
    change(&mut world, SWAP).await;
    for _ in 0..2 {
        let refused = ben.chat.send(room, "is it you?", None).await.unwrap_err();
        let is_it = matches!(&refused, ChatError::Send(SendError::NotWith { room: where_, .. }) if *where_ == room);
        assert!(is_it, "{refused}");
        ben = ben.restarted(&world).await;
    }
    let other = ben.chat.open_direct(ghost.account).await;
    assert!(other.is_err() || other.is_ok_and(|other| other != room));
    ghost.catch_up().await;
    assert!(ghost.heard().is_empty());
}

#[tokio::test]
async fn a_chat_for_two_that_a_person_accepted_is_with_who_was_heard_or_written_to() {
    for is_heard in [true, false] {
        let mut world = World::start().await;
        let mut ann = Person::new(&world, "ann").await;
        let mut ben = people::Person::new(&world, "ben").await;
        let mut ghost = Person::new(&world, "ghost").await;
        let room = ann.client.create_direct(ben.id(), Direct::Encrypted).await.unwrap().id;
        ben.chat.accept(room).await.unwrap();
        match is_heard {
            true => {
                ann.say(room, "hello").await;
                assert_eq!(ben.message().await.text, "hello");
            }
            false => drop(ben.chat.send(room, "hello", None).await.unwrap()),
        }
        change(&mut world, SWAP).await;
        let refused = ben.chat.send(room, "is it you?", None).await.unwrap_err();
        let is_it = matches!(refused, ChatError::Send(SendError::NotWith { .. }));
        assert!(is_it, "{is_heard}: {refused}");
        ghost.catch_up().await;
        assert!(ghost.heard().is_empty());
    }
}

#[tokio::test]
async fn a_chat_for_two_that_is_called_a_group_is_given_nothing() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ghost = Person::new(&world, "ghost").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
    let add = "INSERT INTO members (id, room_id, account_id, joined_at, created_at, updated_at)
         SELECT randomblob(16), m.room_id, a.id, m.joined_at, m.created_at, m.updated_at
         FROM accounts a, (SELECT * FROM members LIMIT 1) m WHERE a.name = 'ghost';
         UPDATE rooms SET mode = 2";
    change(&mut world, add).await;
    let launcher = bot.start().await;
    let said = launcher.session(&bot).send(&answer(room)).await;
    assert!(matches!(said, Err(SendFault::Refused { .. })), "{said:?}");
    launcher.stop().await;
    ghost.catch_up().await;
    ann.catch_up().await;
    assert!(!ghost.heard().iter().any(|heard| heard.from.account == bot.account()));
    assert_eq!(ann.heard_in(room).len(), 1);
}

/// Has the server say that nothing is encrypted, and the agent say something.
async fn assert_nothing_in_the_clear(world: &mut World, bot: &Bot, ann: &Person, room: RoomId) {
    ann.wait_for_members(room, 2).await;
    change(world, "UPDATE rooms SET mode = 0").await;
    let launcher = bot.start().await;
    let said = launcher.session(bot).send(&answer(room)).await;
    assert!(matches!(said, Err(SendFault::Refused { .. })), "{said:?}");
    launcher.stop().await;
}

#[tokio::test]
async fn what_an_operator_accepts_as_encrypted_gets_nothing_in_the_clear() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await.with(|spec| spec.invites.from = Vec::new());
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Encrypted).await.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    let session = launcher.session(&bot);
    session.rooms().unwrap().accept(&Room::new(room.to_string())).await.unwrap();
    drop(session);
    launcher.stop().await;
    assert_nothing_in_the_clear(&mut world, &bot, &ann, room).await;
}

#[tokio::test]
async fn what_an_agent_accepts_as_encrypted_gets_nothing_in_the_clear_over_a_kill() {
    let mut world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let toll = Toll::new(&world.url(), "/accept ").await;
    bot.spec.account.homeserver = toll.url.clone();
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Encrypted).await.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    // It was killed when the server had its word, and before it knew.
    toll.held().await;
    launcher.kill().await;
    bot.client(&world).accept(room).await.unwrap();
    bot.spec.account.homeserver = world.url();
    assert_nothing_in_the_clear(&mut world, &bot, &ann, room).await;
}

#[tokio::test]
async fn who_looks_at_a_room_is_told_that_the_agent_is_at_work() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let mut socket = Socket::connect(&ann.client).await.unwrap();
    socket.subscribe(room).await.unwrap();
    let session = launcher.session(&bot);
    soon(async {
        loop {
            // The server does not say when it has noted who looks.
            session.typing(&Room::new(room.to_string()), true).await;
            let heard = tokio::time::timeout(TICK, socket.next()).await;
            if let Ok(Ok(Packet::Typing { room: where_, account })) = heard {
                assert_eq!((where_, account), (room, bot.account()));
                break;
            }
        }
    })
    .await;
    drop(session);
    launcher.stop().await;
}

fn answer(room: RoomId) -> Answer {
    Answer {
        room: Room::new(room.to_string()),
        content: AnswerContent::Text("an answer".to_owned()),
        reply: None,
        thread: None,
        transaction: "answer-1".to_owned(),
    }
}

#[tokio::test]
async fn a_flood_of_envelopes_does_not_keep_a_message_from_being_answered() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    let flood =
        "WITH RECURSIVE flood (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM flood WHERE n < 3900)
         INSERT INTO envelopes SELECT randomblob(16), sender_id, sender_device_id, recipient_id,
         recipient_device_id, NULL, kind, group_id, NULL, sequence + n, randomblob(200), NULL, NULL,
         0, NULL, NULL, NULL, NULL, created_at, updated_at
         FROM (SELECT * FROM envelopes ORDER BY created_at DESC, sequence DESC LIMIT 1), flood";
    change(&mut world, flood).await;
    let launcher = bot.launch().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    let tables = Connection::open(world.data().join("messager.db")).unwrap();
    let waiting = "SELECT count(*) FROM envelopes WHERE acked_at IS NULL";
    let waiting: i64 = tables.query_row(waiting, [], |row| row.get(0)).unwrap();
    assert!(waiting > 1000, "{waiting} wait when the message is answered");
    launcher.stop().await;
}
