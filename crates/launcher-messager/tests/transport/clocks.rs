//! A server whose clock was ahead once.

use launcher_messager::client::Group;

use crate::{bot::Bot, lies::change, people, person::Person, world::World};

/// Rows that lie in the year 2100, where the agent is not: the server's clock
/// does not go back behind them.
const AHEAD: &str = "UPDATE rooms SET last_row_at = 4102444800000 WHERE name = 'elsewhere'";

/// The clock is right again.
const RIGHT: &str = "UPDATE rooms SET last_row_at = 0 WHERE name = 'elsewhere'";

async fn elsewhere(world: &World) {
    let eve = Person::new(world, "eve").await;
    eve.client.create_group("elsewhere", Group::Plain).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_read_nothing_while_the_clock_was_ahead_hears_what_is_said_after_it() {
    let mut world = World::start().await;
    elsewhere(&world).await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "before").await;
    ann.hear(room, 1).await;
    change(&mut world, AHEAD).await;
    assert!(ann.client.newest().await.unwrap() >= 4_102_444_800_000);
    launcher.stop().await;
    bot.start().await.stop().await;
    change(&mut world, RIGHT).await;
    ann.say(room, "after").await;
    let launcher = bot.start().await;
    assert_eq!(ann.hear(room, 2).await, ["echo: before", "echo: after"]);
    launcher.stop().await;
}

#[tokio::test]
async fn an_agent_that_first_came_while_the_clock_was_ahead_hears_what_is_said_after_it() {
    let mut world = World::start().await;
    elsewhere(&world).await;
    let bot = Bot::new(&world, "bot").await;
    change(&mut world, AHEAD).await;
    bot.start().await.stop().await;
    change(&mut world, RIGHT).await;
    let mut ann = Person::new(&world, "ann").await;
    let launcher = bot.start().await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
}

#[tokio::test]
async fn a_person_who_read_a_row_of_the_future_hears_what_is_said_after_it() {
    let mut world = World::start().await;
    let mut ann = people::Person::new(&world, "ann").await;
    elsewhere(&world).await;
    change(&mut world, AHEAD).await;
    let mut ben = people::Person::new(&world, "ben").await;
    change(&mut world, RIGHT).await;
    let room = ann.befriend(&mut ben).await;
    ann.chat.send(room, "from the future", None).await.unwrap();
    let future = "UPDATE messages SET created_at = 4102444800000 WHERE place = (SELECT max(place) FROM messages)";
    change(&mut world, future).await;
    let mut ben = ben.restarted(&world).await;
    assert_eq!(ben.message().await.text, "from the future");
    ben.chat.told().unwrap();
    ann.chat.send(room, "hello", None).await.unwrap();
    let mut ben = ben.restarted(&world).await;
    assert_eq!(ben.message().await.text, "hello");
}
