//! What an agent does for those who talk to it.

use launcher_core::{names::RoomId as Room, status::AgentState};
use launcher_messager::{
    client::{Group, Said, TimelineKind},
    crypto::{Action, Body, RoomId},
};
use launcher_runtime::ports::{Answer, AnswerContent};

use crate::{
    bot::{Bot, Launcher},
    person::{Person, now},
    toll::Toll,
    world::World,
};

#[tokio::test]
async fn a_message_in_a_direct_chat_is_answered_once() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let question = ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    let answer = ann.heard()[0].clone();
    assert_eq!(answer.from.account, bot.account());
    assert_eq!(answer.body.reply_to, Some(question));
    assert_eq!(answer.body.mentions, [ann.account]);
    assert!(answer.body.automated, "agents mark what they say");
    launcher.stop().await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room), ["echo: hello"]);
}

#[tokio::test]
async fn each_message_in_a_group_is_answered_once_and_for_everybody() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let room = ann.client.create_group("g", Group::Encrypted).await;
    let room = room.unwrap().id;
    for account in [bot.account(), ben.account] {
        ann.client.invite(room, account).await.unwrap();
    }
    ben.client.accept(room).await.unwrap();
    ann.wait_for_members(room, 3).await;
    for number in 0..3 {
        ann.say(room, &format!("ann {number}")).await;
        ben.say(room, &format!("ben {number}")).await;
    }
    for person in [&mut ann, &mut ben] {
        let mut heard: Vec<String> = soon_answers(person, room, 6).await;
        heard.sort();
        let wanted = ["ann 0", "ann 1", "ann 2", "ben 0", "ben 1", "ben 2"];
        assert_eq!(heard, wanted.map(|text| format!("echo: {text}")));
    }
    launcher.stop().await;
}

/// What the agent has said, without what people say to each other.
async fn soon_answers(person: &mut Person, room: RoomId, count: usize) -> Vec<String> {
    let is_answer = |text: &&str| text.starts_with("echo: ");
    crate::world::soon(async {
        while person.heard_in(room).iter().filter(|text| is_answer(text)).count() < count {
            tokio::time::sleep(crate::person::TICK).await;
            person.catch_up().await;
        }
    })
    .await;
    person.heard_in(room).into_iter().filter(|text| is_answer(text)).map(str::to_owned).collect()
}

#[tokio::test]
async fn two_agents_in_one_room_do_not_answer_each_other() {
    let world = World::start().await;
    let (one, two) = (Bot::new(&world, "one").await, Bot::new(&world, "two").await);
    let launcher = Launcher::of(&[&one, &two]).await;
    for bot in [&one, &two] {
        launcher.until(bot, AgentState::Running).await;
    }
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.group_with(&[one.account(), two.account()]).await;
    ann.say(room, "hello").await;
    ann.hear(room, 2).await;
    // Whoever answered an answer has done it before they answer this.
    ann.say(room, "again").await;
    let mut heard = ann.hear(room, 4).await;
    heard.sort();
    assert_eq!(heard, ["echo: again", "echo: again", "echo: hello", "echo: hello"]);
    launcher.stop().await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room).len(), 4);
}

#[tokio::test]
async fn an_answer_in_the_clear_can_be_changed_and_taken_back() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Plain).await.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    ann.wait_for_members(room, 2).await;
    let session = launcher.session(&bot);
    let answer = |transaction: &str, content| Answer {
        room: Room::new(room.to_string()),
        content,
        reply: None,
        thread: None,
        transaction: transaction.to_owned(),
    };
    let text = answer("t1", AnswerContent::Text("one".to_owned()));
    let event = session.send(&text).await.unwrap();
    assert_eq!(said_openly(&ann, room).await, ["one"]);
    let longest = ["a".repeat(4096), "b".repeat(10)];
    let long = [longest[0].clone(), "c".repeat(4000)];
    for (transaction, text) in [("t2", &longest), ("t3", &long), ("t3", &long)] {
        let edit = AnswerContent::Edit { event: event.clone(), text: text.concat() };
        assert_eq!(session.send(&answer(transaction, edit)).await.unwrap(), event);
        assert_eq!(said_openly(&ann, room).await, *text);
    }
    for _ in 0..2 {
        let taken_back = AnswerContent::Redaction { event: event.clone() };
        assert_eq!(session.send(&answer("t4", taken_back)).await.unwrap(), event);
        assert_eq!(said_openly(&ann, room).await, long[1..]);
    }
    drop(session);
    launcher.stop().await;
}

/// What stands in a room in the clear, as it is now.
async fn said_openly(person: &Person, room: RoomId) -> Vec<String> {
    let page = person.client.sync_room(room, 0).await.unwrap();
    let said = page.rows.into_iter().filter_map(|row| match row.kind {
        TimelineKind::Plain { text, is_automated: true } if !text.is_empty() => Some(text),
        _ => None,
    });
    said.collect()
}

#[tokio::test]
async fn who_may_not_write_for_a_while_answers_after_it() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let token = world.token("ann");
    let mut ann = Person::with_token(&world, token.clone()).await;
    let room = ann.group_with(&[bot.account()]).await;
    let until = now() + 2_000;
    let moment = jiff::Timestamp::from_millisecond(until.cast_signed()).unwrap().to_string();
    let path = format!("api/chat/{room}/members/{}/timeout", bot.account());
    let silence = reqwest::Client::new()
        .post(world.url().join(&path).unwrap())
        .bearer_auth(token.expose())
        .json(&serde_json::json!({ "timeout_until": moment }));
    assert_eq!(silence.send().await.unwrap().status(), 204);
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    assert!(now() >= until, "not before it may");
    launcher.stop().await;
}

#[tokio::test]
async fn an_answer_to_a_room_that_becomes_encrypted_is_sent_encrypted() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let toll = Toll::new(&world.url(), "echo: openly").await;
    bot.spec.account.homeserver = toll.url.clone();
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Plain).await.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    ann.wait_for_members(room, 2).await;
    let said = Said {
        text: "openly".to_owned(),
        client_message_id: "openly".to_owned(),
        reply_to: None,
        is_automated: false,
    };
    ann.client.say(room, &said).await.unwrap();
    toll.held().await;
    ann.client.enable_encryption(room).await.unwrap();
    toll.let_go();
    assert_eq!(ann.hear(room, 1).await, ["echo: openly"]);
    launcher.stop().await;
    assert!(said_openly(&ann, room).await.is_empty());
}

#[tokio::test]
async fn a_blank_message_is_not_answered() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, " \n ").await;
    ann.send(room, Action::New, Body { automated: true, ..Body::text("by a machine") }).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
}

#[tokio::test]
async fn a_message_in_the_clear_is_not_acted_upon_where_there_is_encryption() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Plain).await;
    let room = room.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    ann.wait_for_members(room, 2).await;
    let said = |text: &str| Said {
        text: text.to_owned(),
        client_message_id: text.to_owned(),
        reply_to: None,
        is_automated: false,
    };
    ann.client.say(room, &said("openly")).await.unwrap();
    crate::world::soon(async {
        loop {
            let page = ann.client.sync_room(room, 0).await.unwrap();
            let is_answer = |row: &launcher_messager::client::TimelineRow| {
                matches!(&row.kind, TimelineKind::Plain { text, is_automated: true } if text == "echo: openly")
            };
            if page.rows.iter().any(is_answer) {
                break;
            }
            tokio::time::sleep(crate::person::TICK).await;
        }
    })
    .await;
    launcher.stop().await;
    // What was said openly while the agent was away is read when the room is encrypted.
    ann.client.say(room, &said("late")).await.unwrap();
    ann.client.enable_encryption(room).await.unwrap();
    let launcher = bot.start().await;
    ann.say(room, "sealed").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: sealed"]);
    launcher.stop().await;
    let page = ann.client.sync_room(room, 0).await.unwrap();
    let plain = page.rows.iter().filter(|row| matches!(row.kind, TimelineKind::Plain { .. }));
    assert_eq!(plain.count(), 3, "two of ann's and one answer");
}
