//! What is done for keys: what cannot be done for one account waits alone.

use std::time::Duration;

use rusqlite::Connection;

use crate::{
    bot::Bot,
    lies::change,
    person::{Person, TICK},
    world::{World, soon},
};

/// Lines up an envelope with these bytes for each device that the agent has a session with.
fn line_up(bot: &Bot, to: &Person, ciphertext: &str) {
    let store = Connection::open(bot.store()).unwrap();
    let sql = format!(
        "INSERT INTO outgoing (account, device, kind, client, ciphertext)
         SELECT account, device, 3, 'lined up', {ciphertext} FROM device WHERE account = ?1"
    );
    assert_eq!(store.execute(&sql, [to.account.as_bytes()]).unwrap(), 1);
}

async fn until_nothing_is_lined_up(bot: &Bot) {
    let store = Connection::open(bot.store()).unwrap();
    store.busy_timeout(Duration::from_secs(5)).unwrap();
    soon(async {
        let count = "SELECT count(*) FROM outgoing WHERE client = 'lined up'";
        while store.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

#[tokio::test]
async fn envelopes_are_sent_although_somebody_elses_keys_cannot_be_had() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let eve = Person::new(&world, "eve").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    launcher.stop().await;
    change(
        &mut world,
        "UPDATE bundles SET meta = json_object('a', printf('%.*c', 17000000, 'x'))
         WHERE account_id = (SELECT id FROM accounts WHERE name = 'eve')",
    )
    .await;
    assert!(ann.client.devices(eve.account).await.is_err());
    let store = Connection::open(bot.store()).unwrap();
    let sql = "INSERT INTO peer VALUES (randomblob(32), ?1, 1, 0, 0)";
    store.execute(sql, [eve.account.as_bytes()]).unwrap();
    drop(store);
    line_up(&bot, &ann, "X'0200'");
    let launcher = bot.start().await;
    until_nothing_is_lined_up(&bot).await;
    launcher.stop().await;
}

#[tokio::test]
async fn envelopes_that_the_server_never_takes_are_forgotten() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    launcher.stop().await;
    line_up(&bot, &ann, "X''");
    let launcher = bot.start().await;
    until_nothing_is_lined_up(&bot).await;
    ann.say(room, "and now?").await;
    assert_eq!(ann.hear(room, 2).await[1], "echo: and now?");
    launcher.stop().await;
}
