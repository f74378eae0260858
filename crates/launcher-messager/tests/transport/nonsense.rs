//! Answers that are of no use, or parts of them. They concern whom they concern.

use launcher_messager::{
    client::{Group, Mode, Said},
    crypto::RoomId,
};
use rusqlite::Connection;

use crate::{
    bot::{Bot, Launcher},
    lies::change,
    people,
    person::{Person, TICK},
    world::{World, soon},
};

/// An object so deep that it can be read alone, and nothing that is around it.
fn deep() -> String {
    format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127))
}

/// One that makes an answer longer than what is read of it.
fn long() -> String {
    format!(r#"{{"a":"{}"}}"#, "x".repeat(17_000_000))
}

/// Longer than what is read of an answer.
const FAT: &str = "printf('%.*c', 17000000, 'x')";

/// Has mallory, whom nobody knows, send what ann has sent last, or almost that.
async fn mallory(world: &mut World, meta: &str) {
    let last =
        "SELECT * FROM envelopes WHERE sender_id = (SELECT id FROM accounts WHERE name = 'ann')
         ORDER BY created_at DESC, sequence DESC LIMIT 1";
    let tables = Connection::open(world.data().join("messager.db")).unwrap();
    let sql = format!("SELECT ciphertext FROM ({last})");
    let mut ciphertext: Vec<u8> = tables.query_row(&sql, [], |row| row.get(0)).unwrap();
    *ciphertext.last_mut().unwrap() ^= 1;
    let ciphertext: String = ciphertext.iter().map(|byte| format!("{byte:02x}")).collect();
    drop(tables);
    let sql = format!(
        "UPDATE bundles SET meta = '{meta}'
         WHERE account_id = (SELECT id FROM accounts WHERE name = 'mallory');
         INSERT INTO envelopes SELECT randomblob(16), d.account_id, d.device_id, e.recipient_id,
         e.recipient_device_id, NULL, e.kind, e.group_id, NULL, e.sequence + 1000, X'{ciphertext}',
         NULL, NULL, 0, NULL, NULL, NULL, NULL, e.created_at, e.updated_at
         FROM ({last}) e, devices d JOIN accounts a ON a.id = d.account_id
         WHERE a.name = 'mallory'"
    );
    change(world, &sql).await;
}

/// How many of mallory's envelopes wait.
fn waiting(world: &World) -> i64 {
    let tables = Connection::open(world.data().join("messager.db")).unwrap();
    let sql = "SELECT count(*) FROM envelopes WHERE acked_at IS NULL
               AND sender_id = (SELECT id FROM accounts WHERE name = 'mallory')";
    tables.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn until_read(world: &World) {
    soon(async {
        while waiting(world) > 0 {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

#[tokio::test]
async fn keys_that_are_nested_too_deep_make_their_device_useless_and_nobody_else() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    let _stranger = world.device("mallory").await;
    mallory(&mut world, &deep()).await;
    assert_eq!(waiting(&world), 1);
    let stranger = ann.client.account_by_name("mallory").await.unwrap().unwrap();
    let shown = ann.client.devices(stranger).await.unwrap();
    assert_eq!(shown.len(), 1);
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    until_read(&world).await;
    launcher.stop().await;
}

#[tokio::test]
async fn an_envelope_whose_sender_cannot_be_asked_about_waits_and_nothing_else_does() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    let _stranger = world.device("mallory").await;
    mallory(&mut world, &long()).await;
    let stranger = ann.client.account_by_name("mallory").await.unwrap().unwrap();
    let error = ann.client.devices(stranger).await.unwrap_err();
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
    assert_eq!(waiting(&world), 1, "it is not lost");
    change(&mut world, "UPDATE bundles SET meta = '{}' WHERE length(meta) > 1000000").await;
    let launcher = bot.start().await;
    until_read(&world).await;
    launcher.stop().await;
}

#[tokio::test]
async fn a_person_hears_others_whatever_a_stranger_has_for_keys() {
    let mut world = World::start().await;
    let mut ann = people::Person::new(&world, "ann").await;
    let mut ben = people::Person::new(&world, "ben").await;
    let room = ann.befriend(&mut ben).await;
    let _stranger = world.device("mallory").await;
    for (number, meta) in [deep(), long()].iter().enumerate() {
        let text = format!("hello {number}");
        ann.chat.send(room, &text, None).await.unwrap();
        mallory(&mut world, meta).await;
        ben = ben.restarted(&world).await;
        while ben.message().await.text != text {}
        change(&mut world, "DELETE FROM envelopes WHERE sequence > 1000").await;
    }
}

#[tokio::test]
async fn a_row_that_is_nested_too_deep_hides_no_other() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    ann.say(room, "hello").await;
    ann.say(room, "good-bye").await;
    let sql = format!(
        "UPDATE messages SET meta = '{}' WHERE place = (SELECT max(place) FROM messages) - 1",
        deep()
    );
    change(&mut world, &sql).await;
    let page = ann.client.sync_all(0).await.unwrap();
    assert_eq!(page.skipped, 1);
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: good-bye"]);
    launcher.stop().await;
}

#[tokio::test]
async fn rows_of_which_none_can_be_read_are_passed() {
    let mut world = World::start().await;
    let ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Plain).await.unwrap().id;
    say_openly(&ann, room, "hello").await;
    change(&mut world, &format!("UPDATE messages SET meta = '{}'", deep())).await;
    let page = ann.client.sync_all(0).await.unwrap();
    assert!(page.rows.is_empty() && page.skipped > 0 && !page.is_last);
    let end = ann.client.sync_all(page.position).await.unwrap();
    assert!(end.is_last && end.position == page.position);
}

/// Waits until both have read what there is.
async fn read_so_far(ann: &mut Person, room: RoomId) {
    ann.say(room, "so far").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: so far"]);
}

/// A group in the clear that the agent is in, with a member that nobody but the
/// server describes like this.
async fn group_with_eve(world: &World, bot: &Bot, ann: &Person) -> RoomId {
    let room = ann.client.create_group("g", Group::Plain).await.unwrap().id;
    let eve = Person::new(world, "eve").await;
    for account in [bot.account(), eve.account] {
        ann.client.invite(room, account).await.unwrap();
    }
    eve.client.accept(room).await.unwrap();
    ann.wait_for_members(room, 3).await;
    room
}

const EVE: &str = "WHERE account_id = (SELECT id FROM accounts WHERE name = 'eve')";

async fn say_openly(ann: &Person, room: RoomId, text: &str) {
    let said = Said {
        text: text.to_owned(),
        client_message_id: text.to_owned(),
        reply_to: None,
        is_automated: false,
    };
    ann.client.say(room, &said).await.unwrap();
}

#[tokio::test]
async fn a_silence_that_ended_before_1970_hides_no_member() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let room = group_with_eve(&world, &bot, &ann).await;
    launcher.stop().await;
    change(&mut world, &format!("UPDATE members SET timeout_until = -1000 {EVE}")).await;
    let members = ann.client.members(room).await.unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().any(|member| member.silent_until == Some(0)));
}

#[tokio::test]
async fn a_room_whose_members_cannot_be_read_counts_as_encrypted_and_keeps_no_other_from_being_heard()
 {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = group_with_eve(&world, &bot, &ann).await;
    let direct = ann.chat_with(bot.account()).await;
    read_so_far(&mut ann, direct).await;
    launcher.stop().await;
    change(&mut world, &format!("UPDATE members SET nick = {FAT} {EVE}")).await;
    let error = ann.client.members(room).await.unwrap_err();
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
    assert_eq!(ann.client.room(room).await.unwrap().unwrap().mode, Mode::Plain);
    say_openly(&ann, room, "openly").await;
    ann.say(direct, "hello").await;
    let launcher = bot.start().await;
    assert_eq!(ann.hear(direct, 2).await[1], "echo: hello");
    assert_eq!(received(&launcher, &bot), 1);
    launcher.stop().await;
}

fn received(launcher: &Launcher, bot: &Bot) -> u64 {
    launcher.report(bot).status(&bot.spec.id, launcher.standing(bot)).received
}

#[tokio::test]
async fn invitations_too_long_to_be_read_keep_nobody_from_being_heard() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut mallory = Person::new(&world, "mallory").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    let fat = mallory.client.create_group("fat", Group::Encrypted).await.unwrap().id;
    mallory.client.invite(fat, bot.account()).await.unwrap();
    change(&mut world, &format!("UPDATE rooms SET description = {FAT} WHERE name = 'fat'")).await;
    assert!(bot.client(&world).invites().await.is_err());
    ann.say(room, "hello").await;
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
    // It is read when it can be.
    change(&mut world, "UPDATE rooms SET description = NULL").await;
    let launcher = bot.start().await;
    mallory.wait_for_members(fat, 2).await;
    mallory.say(fat, "hello").await;
    assert_eq!(mallory.hear(fat, 1).await, ["echo: hello"]);
    launcher.stop().await;
}

#[tokio::test]
async fn rooms_too_long_to_be_read_keep_no_agent_from_starting() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let fat = ann.client.create_group("fat", Group::Encrypted).await.unwrap().id;
    ann.client.invite(fat, bot.account()).await.unwrap();
    ann.wait_for_members(fat, 2).await;
    read_so_far(&mut ann, room).await;
    launcher.stop().await;
    change(&mut world, &format!("UPDATE rooms SET description = {FAT} WHERE name = 'fat'")).await;
    assert!(bot.client(&world).rooms().await.is_err());
    ann.say(room, "hello").await;
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 2).await[1], "echo: hello");
    launcher.stop().await;
}
