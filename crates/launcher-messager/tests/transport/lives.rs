//! An agent over its lives: restarts, kills, lost and copied stores, tokens.

use std::{collections::BTreeMap, path::Path, time::Duration};

use launcher_core::{secret::Secret, status::AgentState};
use launcher_messager::{
    client::Client,
    crypto::{Address, Machine, RoomId},
};
use rusqlite::Connection;

use crate::{
    bot::Bot,
    gate::{Gate, Side},
    lies::change,
    person::{Person, TICK, now},
    world::{World, key, soon},
};

#[tokio::test]
async fn what_is_said_while_an_agent_is_away_is_answered_once_when_it_is_back() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "before").await;
    ann.hear(room, 1).await;
    launcher.stop().await;
    ann.say(room, "meanwhile").await;
    let launcher = bot.start().await;
    ann.say(room, "after").await;
    let heard = ann.hear(room, 3).await;
    assert_eq!(heard, ["echo: before", "echo: meanwhile", "echo: after"]);
    launcher.stop().await;
}

/// Kills the agent again and again while it works, a little later each time.
#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_and_doubles_nothing() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.kill().await;
    let mut wanted = Vec::new();
    for number in 0..12_u64 {
        ann.say(room, &format!("message {number}")).await;
        wanted.push(format!("echo: message {number}"));
        let launcher = bot.launch().await;
        tokio::time::sleep(Duration::from_millis(5 + 17 * number)).await;
        launcher.kill().await;
    }
    let launcher = bot.start().await;
    let mut heard = ann.hear(room, wanted.len()).await;
    launcher.stop().await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room).len(), wanted.len());
    heard.sort();
    wanted.sort();
    assert_eq!(heard, wanted);
}

#[tokio::test]
async fn a_kill_before_each_request_loses_nothing_and_doubles_nothing() {
    kill_at_each(Side::Requests).await;
}

#[tokio::test]
async fn a_kill_before_each_answer_is_known_loses_nothing_and_doubles_nothing() {
    kill_at_each(Side::Answers).await;
}

/// Has an agent start and answer a question, and kills it at its first request,
/// at its second, and so on until it is faster than the kill.
async fn kill_at_each(side: Side) {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    for after in 1.. {
        let question = format!("message {after}");
        ann.say(room, &question).await;
        let gate = Gate::new(&world.url(), side, after).await;
        bot.spec.account.homeserver = gate.url.clone();
        let launcher = bot.launch().await;
        let was_shut = tokio::select! {
            () = soon(gate.shut()) => true,
            () = answered(&mut ann, room, after) => false,
        };
        launcher.kill().await;
        if !was_shut {
            assert!(after > 10, "an answer takes more than {after} requests");
            return;
        }
        bot.spec.account.homeserver = world.url();
        let launcher = bot.start().await;
        let heard = ann.hear(room, after).await;
        assert_eq!(heard.last().unwrap(), &format!("echo: {question}"), "{after}");
        launcher.stop().await;
        ann.catch_up().await;
        assert_eq!(ann.heard_in(room).len(), after, "{after}");
    }
}

async fn answered(person: &mut Person, room: RoomId, count: usize) {
    while person.heard_in(room).len() < count {
        tokio::time::sleep(TICK).await;
        person.catch_up().await;
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_parks_the_agent_while_it_runs() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    messager_server::revoke_device(world.data(), "bot", bot.me.device.as_str()).unwrap();
    let standing = launcher.until(&bot, AgentState::Parked).await;
    assert!(standing.reason.unwrap().starts_with("token_invalid: "));
    launcher.stop().await;
}

#[tokio::test]
async fn an_agent_that_was_copied_ends_before_it_sends_anything_more() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    launcher.stop().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("crypto.db");
    std::fs::copy(bot.store(), &copy).unwrap();
    let launcher = bot.start().await;
    let address = Address::new(bot.account(), bot.me.device.clone());
    let mut machine = Machine::open(&copy, &key(), &address).unwrap().unwrap();
    // The copy is as far as the agent is, and then one start further.
    drop(machine);
    machine = Machine::open(&copy, &key(), &address).unwrap().unwrap();
    let upload = machine.upload(now()).unwrap().unwrap();
    let token = bot.spec.account.access_token.clone().unwrap();
    let client = Client::new(&world.connections, world.url(), token);
    client.upload_bundle(&upload).await.unwrap();
    ann.say(room, "hello").await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    let reason = standing.reason.unwrap();
    assert!(reason.starts_with("store_cloned: "), "{reason}");
    launcher.stop().await;
    ann.catch_up().await;
    assert!(ann.heard_in(room).is_empty());
}

#[tokio::test]
async fn a_server_that_was_away_finds_its_agent_again() {
    let mut world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    world.stop().await;
    world.come_back().await;
    ann.say(room, "hello again").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello again"]);
    launcher.stop().await;
}

#[tokio::test]
async fn a_token_that_is_none_parks_the_agent_and_names_the_way_out() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let bot = bot.with(|spec| spec.account.access_token = Some(Secret::new("no token".to_owned())));
    let launcher = bot.launch().await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    assert!(standing.reason.unwrap().starts_with("token_invalid: "));
    let action = standing.action.unwrap();
    assert!(action.contains("messager.token") && !action.contains("matrix"), "{action}");
    assert!(!bot.store().exists(), "nothing was made");
    launcher.stop().await;
}

#[tokio::test]
async fn a_wrong_pickle_key_changes_no_byte_here_or_at_the_server() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let shown = own_bundle(&world, &bot).await;
    let before = files(&bot.spec.data_folder());
    let bot = bot.with(|spec| spec.encryption.pickle_key = Secret::new([8; 32]));
    let launcher = bot.launch().await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    assert!(standing.reason.unwrap().starts_with("store_key_wrong: "));
    launcher.stop().await;
    assert_eq!(files(&bot.spec.data_folder()), before);
    assert_eq!(own_bundle(&world, &bot).await, shown);
}

#[tokio::test]
async fn a_lost_store_parks_the_agent_and_no_keys_are_made() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let shown = own_bundle(&world, &bot).await;
    remove_store(&bot);
    let launcher = bot.launch().await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    assert!(standing.reason.unwrap().starts_with("store_lost: "));
    assert!(!bot.store().exists());
    assert_eq!(own_bundle(&world, &bot).await, shown);
    launcher.stop().await;
}

#[tokio::test]
async fn a_store_that_is_older_than_what_the_server_has_parks_the_agent_for_good() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let copy = files(&bot.spec.data_folder());
    bot.start().await.stop().await;
    restore(&bot, &copy);
    let launcher = bot.launch().await;
    // As often as somebody touches its file.
    for _ in 0..4 {
        let standing = launcher.until(&bot, AgentState::Parked).await;
        assert!(standing.reason.unwrap().starts_with("store_rolled_back: "));
        launcher.order(&[&bot]).await;
        launcher.until_tried(&bot).await;
    }
    launcher.stop().await;
}

#[tokio::test]
async fn a_copy_from_the_middle_of_a_life_parks_the_agent_and_nothing_is_sent() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "one").await;
    ann.hear(room, 1).await;
    let copy = files(&bot.spec.data_folder());
    ann.say(room, "two").await;
    ann.hear(room, 2).await;
    launcher.stop().await;
    restore(&bot, &copy);
    ann.say(room, "three").await;
    let launcher = bot.launch().await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    let reason = standing.reason.unwrap();
    assert!(reason.starts_with("store_rolled_back: "), "{reason}");
    launcher.stop().await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room), ["echo: one", "echo: two"]);
}

#[tokio::test]
async fn a_store_that_was_put_back_alone_parks_the_agent_once_something_was_sent() {
    // Also if it had not written anything when it was copied.
    for is_new in [false, true] {
        let world = World::start().await;
        let bot = Bot::new(&world, "bot").await;
        let launcher = bot.start().await;
        let mut ann = Person::new(&world, "ann").await;
        let room = ann.chat_with(bot.account()).await;
        let mut count = 0;
        if !is_new {
            ann.say(room, "one").await;
            ann.hear(room, 1).await;
            count = 1;
        }
        let copy = files(&bot.spec.encryption.store_path);
        ann.say(room, "two").await;
        ann.hear(room, count + 1).await;
        launcher.stop().await;
        // The journal is further than all that was sent: hours have passed.
        let journal = Connection::open(bot.spec.data_folder().join("journal.db")).unwrap();
        let further = format!("messager:{}", now() + 3 * 60 * 60 * 1000);
        journal.execute("UPDATE value SET position = ?1", [further]).unwrap();
        drop(journal);
        let store = &bot.spec.encryption.store_path;
        for name in files(store).into_keys() {
            std::fs::remove_file(store.join(name)).unwrap();
        }
        for (name, content) in &copy {
            std::fs::write(store.join(name), content).unwrap();
        }
        let launcher = bot.launch().await;
        let standing = launcher.until(&bot, AgentState::Parked).await;
        let reason = standing.reason.unwrap();
        assert!(reason.starts_with("store_rolled_back: "), "{reason}");
        assert!(standing.action.unwrap().contains("messager.token"));
        launcher.stop().await;
    }
}

#[tokio::test]
async fn a_new_token_makes_the_agent_a_new_device_and_keeps_the_old_store() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "one").await;
    ann.hear(room, 1).await;
    let old = launcher.report(&bot).facts();
    launcher.stop().await;
    bot.take_token(&world, world.token("bot")).await;
    let launcher = bot.start().await;
    let new = launcher.report(&bot).facts();
    assert_eq!(new.user_id, old.user_id);
    assert!(new.device_id != old.device_id && new.ed25519 != old.ed25519);
    assert_eq!(
        launcher
            .report(&bot)
            .status(&bot.spec.id, launcher.until(&bot, AgentState::Running).await)
            .resets,
        1
    );
    let store = &bot.spec.encryption.store_path;
    let retired = std::fs::read_dir(store.parent().unwrap()).unwrap();
    let retired: Vec<_> = retired.map(|entry| entry.unwrap().path()).collect();
    let is_old = |path: &&std::path::PathBuf| path.to_string_lossy().contains("crypto.retired-");
    let kept = retired.iter().find(is_old).unwrap();
    assert!(kept.join("crypto.db").exists());
    // The new device's list is a minute old at most; ann's engine asks anew then.
    let mut ben = Person::new(&world, "ben").await;
    let other = ben.chat_with(bot.account()).await;
    ben.say(other, "two").await;
    assert_eq!(ben.hear(other, 1).await, ["echo: two"]);
    launcher.stop().await;
}

#[tokio::test]
async fn a_token_of_a_device_whose_keys_are_elsewhere_parks_the_agent() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let elsewhere = world.token("bot");
    let other = Person::with_token(&world, elsewhere.clone()).await;
    let before = files(&bot.spec.data_folder());
    bot.take_token(&world, elsewhere).await;
    let launcher = bot.launch().await;
    let standing = launcher.until(&bot, AgentState::Parked).await;
    assert!(standing.reason.unwrap().starts_with("store_lost: "));
    launcher.stop().await;
    assert_eq!(files(&bot.spec.data_folder()), before, "the store was not put aside");
    drop(other);
}

#[tokio::test]
async fn a_token_that_comes_back_after_another_parks_the_agent_whatever_the_server_has_forgotten() {
    let mut world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let first = bot.spec.account.access_token.clone().unwrap();
    bot.take_token(&world, world.token("bot")).await;
    bot.start().await.stop().await;
    let second = files(&bot.spec.encryption.store_path);
    bot.take_token(&world, first).await;
    change(&mut world, "DELETE FROM one_time_keys; DELETE FROM bundles").await;
    // The journal knows it without the store that was put aside, and that without the journal.
    let data = bot.spec.data_folder();
    let retired = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let is_retired = |path: &std::path::PathBuf| path.to_string_lossy().contains(".retired-");
    let retired = retired.filter(is_retired).collect::<Vec<_>>().pop().unwrap();
    let hidden = data.join("hidden");
    std::fs::rename(&retired, &hidden).unwrap();
    for is_last in [false, true] {
        let launcher = bot.launch().await;
        let standing = launcher.until(&bot, AgentState::Parked).await;
        let reason = standing.reason.unwrap();
        assert!(reason.starts_with("store_lost: "), "{reason}");
        launcher.stop().await;
        let now = files(&bot.spec.encryption.store_path);
        assert_eq!(now["crypto.db"], second["crypto.db"], "the store was not put aside");
        if !is_last {
            std::fs::rename(&hidden, &retired).unwrap();
            for name in files(&data).into_keys().filter(|name| name.starts_with("journal.db")) {
                std::fs::remove_file(data.join(name)).unwrap();
            }
        }
    }
}

async fn own_bundle(world: &World, bot: &Bot) -> String {
    let token = bot.spec.account.access_token.clone().unwrap();
    let client = Client::new(&world.connections, world.url(), token);
    format!("{:?}", soon(client.own_bundle(&bot.me)).await.unwrap())
}

/// Puts files back as they were.
fn restore(bot: &Bot, copy: &BTreeMap<String, Vec<u8>>) {
    for name in files(&bot.spec.data_folder()).keys() {
        if !name.ends_with("launcher.lock") {
            std::fs::remove_file(bot.spec.data_folder().join(name)).unwrap();
        }
    }
    for (name, content) in copy {
        std::fs::write(bot.spec.data_folder().join(name), content).unwrap();
    }
}

fn remove_store(bot: &Bot) {
    for entry in std::fs::read_dir(&bot.spec.encryption.store_path).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("crypto.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// All files below a folder with what is in them.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                    found.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}
