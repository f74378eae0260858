//! Answers that are not lost because somebody on the way says no for a while, or
//! the server says no about one of many.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use launcher_core::status::AgentState;

use crate::{
    between::{Between, says},
    bot::Bot,
    person::{Person, now},
    world::World,
};

/// Is true so many times.
fn times(count: usize) -> impl Fn() -> bool {
    let left = AtomicUsize::new(count);
    move || {
        let less = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

fn is_post(request: &str) -> bool {
    request.starts_with("POST /api/chat/") && request.contains("/messages ")
}

#[tokio::test]
async fn an_answer_outlives_a_proxy_that_has_lost_its_server() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let (gone, shut) = (times(1), times(1));
    let between = Between::new(world.url(), move |request| {
        let html = "<html>nobody is here</html>";
        match () {
            () if !is_post(request) => None,
            () if gone() => Some(says("404 Not Found", "text/html", html)),
            () if shut() => Some(says("403 Forbidden", "text/plain", "Forbidden")),
            () => None,
        }
    });
    let between = between.await;
    bot.spec.account.homeserver = between.url.clone();
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
}

#[tokio::test]
async fn a_proxy_that_wants_to_know_who_it_is_parks_no_agent() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let (is_asking, asks) = (Arc::new(AtomicBool::new(false)), times(1));
    let asking = is_asking.clone();
    let between = Between::new(world.url(), move |_| {
        let asks = asking.load(Ordering::SeqCst) && asks();
        asks.then(|| says("401 Unauthorized", "text/html", "<html>log in</html>"))
    });
    let between = between.await;
    bot.spec.account.homeserver = between.url.clone();
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    is_asking.store(true, Ordering::SeqCst);
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    assert_ne!(launcher.standing(&bot).state, AgentState::Parked);
    launcher.stop().await;
}

#[tokio::test]
async fn an_answer_waits_while_nobody_can_say_why_it_is_refused() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let (was_posted, is_cut) = (AtomicBool::new(false), times(1));
    let between = Between::new(world.url(), move |request| {
        was_posted.fetch_or(is_post(request), Ordering::SeqCst);
        let is_why = was_posted.load(Ordering::SeqCst) && request.contains("/members?");
        (is_why && is_cut()).then(|| says("502 Bad Gateway", "text/html", "<html>"))
    });
    let between = between.await;
    bot.spec.account.homeserver = between.url.clone();
    let launcher = bot.start().await;
    let token = world.token("ann");
    let mut ann = Person::with_token(&world, token.clone()).await;
    let room = ann.group_with(&[bot.account()]).await;
    let until = now() + 1_000;
    let moment = jiff::Timestamp::from_millisecond(until.cast_signed()).unwrap().to_string();
    let path = format!("api/chat/{room}/members/{}/timeout", bot.account());
    let silence = reqwest::Client::new()
        .post(world.url().join(&path).unwrap())
        .bearer_auth(token.expose())
        .json(&serde_json::json!({ "timeout_until": moment }));
    assert_eq!(silence.send().await.unwrap().status(), 204);
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
}

#[tokio::test]
async fn who_is_given_no_key_by_the_server_keeps_no_answer_from_the_others() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let (unlucky, is_shy) = (ben.account.to_string(), times(1));
    let between = Between::new(world.url(), move |request| {
        let no = |status: &str| Some(says(status, "application/json", "\"No.\""));
        let is_fanout = request.starts_with("POST /api/e2ee/messages/fanout");
        if is_fanout && request.contains(&format!("\"recipient_account_id\":\"{unlucky}\"")) {
            return no("400 Bad Request");
        }
        let is_list = request.starts_with(&format!("GET /api/e2ee/keys/{unlucky}/devices"));
        if is_list && is_shy() { no("403 Forbidden") } else { None }
    });
    let between = between.await;
    bot.spec.account.homeserver = between.url.clone();
    let launcher = bot.start().await;
    let room = ann.client.create_group("g", launcher_messager::client::Group::Encrypted).await;
    let room = room.unwrap().id;
    for account in [bot.account(), ben.account] {
        ann.client.invite(room, account).await.unwrap();
    }
    ben.client.accept(room).await.unwrap();
    ann.wait_for_members(room, 3).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
    ben.catch_up().await;
    assert_eq!(ben.heard_in(room), ["hello"], "it has no key of the answer");
}
