//! What a server can say that is not so.

use launcher_core::names::RoomId as Room;
use launcher_messager::{
    client::{Mode, TimelineKind},
    crypto::{Action, Body, RoomId},
    socket::{Packet, Socket},
};
use launcher_runtime::ports::{Answer, AnswerContent, SendFault};
use rusqlite::Connection;

use crate::{
    bot::Bot,
    person::{Person, TICK},
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

#[tokio::test]
async fn an_edited_message_that_the_server_shows_days_later_is_not_answered_again() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let target = ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    ann.send(room, Action::Edit { target }, Body::text("hello again")).await;
    launcher.stop().await;
    // By then the journal has forgotten the ids of events.
    let journal = Connection::open(bot.spec.data_folder().join("journal.db")).unwrap();
    journal.execute_batch("DELETE FROM inbox").unwrap();
    drop(journal);
    let show_it_now = "UPDATE messages SET created_at = (SELECT max(created_at) + 1 FROM messages)
         WHERE edited_at IS NOT NULL AND kind = 'text'";
    change(&mut world, show_it_now).await;
    let launcher = bot.start().await;
    ann.say(room, "more").await;
    let heard = ann.hear(room, 2).await;
    launcher.stop().await;
    assert_eq!(heard, ["echo: hello", "echo: more"]);
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
    let flood = "WITH RECURSIVE flood (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM flood WHERE n < 3900)
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
