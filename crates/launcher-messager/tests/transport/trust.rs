//! Who is obeyed, who gets keys, and messages whose keys come late.

use std::time::Duration;

use launcher_core::{
    names::{DeviceId, UserId},
    spec::TrustMode,
    trust::{Order, UserRecord},
};
use launcher_messager::{
    client::{Group, TimelineKind, TimelineRow},
    crypto::{Address, Machine, Opened, RoomId, Withheld},
};
use launcher_runtime::{Report, ports::trust::TrustError};
use rusqlite::Connection;

use crate::{
    bot::{Bot, Launcher},
    person::{Person, TICK, now},
    toll::Toll,
    world::{World, key, soon},
};

async fn decide(launcher: &Launcher, bot: &Bot, person: &Person, order: Order) {
    let session = launcher.session(bot);
    let user = UserId::new(person.account.to_string());
    session.trust().unwrap().decide(&user, &order).await.unwrap();
}

async fn until(report: &Report, state: impl Fn(&Report) -> bool) {
    soon(async {
        while !state(report) {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

/// Waits until the agent has refused a message of this person.
async fn refused(launcher: &Launcher, bot: &Bot, person: &Person) {
    let user = person.account.to_string();
    soon(async {
        loop {
            let users = launcher.session(bot).trust().unwrap().users().await.unwrap();
            if users.iter().any(|record| record.user.as_str() == user) {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

#[tokio::test]
async fn in_manual_mode_who_is_not_approved_is_neither_obeyed_nor_gets_keys() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let bot = bot.with(|spec| spec.encryption.trust_mode = TrustMode::Manual);
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let room: RoomId = {
        let group = ann.client.create_group("g", Group::Encrypted).await;
        let room = group.unwrap().id;
        for account in [bot.account(), ben.account] {
            ann.client.invite(room, account).await.unwrap();
        }
        ben.client.accept(room).await.unwrap();
        ann.wait_for_members(room, 3).await;
        room
    };
    ann.say(room, "am I heard?").await;
    refused(&launcher, &bot, &ann).await;
    decide(&launcher, &bot, &ann, Order::Approve(None)).await;
    assert_eq!(ann.hear(room, 1).await, ["echo: am I heard?"], "what waited is answered");
    ben.catch_up().await;
    assert_eq!(ben.heard_in(room), ["am I heard?"], "the answer is not for ben");
    ben.say(room, "and I?").await;
    ann.say(room, "more").await;
    assert_eq!(ann.hear(room, 3).await.last().unwrap(), "echo: more");
    ben.catch_up().await;
    assert_eq!(ben.heard_in(room), ["am I heard?", "more"]);
    let status = launcher.report(&bot).status(&bot.spec.id, launcher.standing(&bot));
    assert_eq!((status.received, status.answered), (2, 2), "ben is not obeyed");
    launcher.stop().await;
}

#[tokio::test]
async fn who_is_blocked_is_not_answered_and_reads_nothing_any_more() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut eve = Person::new(&world, "eve").await;
    let room = {
        let group = ann.client.create_group("g", Group::Encrypted).await;
        let room = group.unwrap().id;
        for account in [bot.account(), eve.account] {
            ann.client.invite(room, account).await.unwrap();
        }
        eve.client.accept(room).await.unwrap();
        ann.wait_for_members(room, 3).await;
        room
    };
    eve.say(room, "hello").await;
    eve.hear(room, 1).await;
    decide(&launcher, &bot, &eve, Order::Block(None)).await;
    eve.say(room, "hello again").await;
    ann.say(room, "hello").await;
    soon(async {
        while !ann.heard_in(room).contains(&"echo: hello")
            || ann.heard_in(room).iter().filter(|text| text.starts_with("echo")).count() < 2
        {
            tokio::time::sleep(TICK).await;
            ann.catch_up().await;
        }
    })
    .await;
    assert!(!ann.heard_in(room).contains(&"echo: hello again"));
    eve.catch_up().await;
    assert_eq!(eve.heard_in(room), ["echo: hello", "hello"], "nothing of the agent's since");
    launcher.stop().await;
}

#[tokio::test]
async fn a_message_whose_key_comes_late_is_answered_once() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.kept_back = Some(Vec::new());
    ann.say(room, "hello").await;
    let report = launcher.report(&bot);
    until(&report, |report| report.undecryptable_pending() == 1).await;
    // It waits over a restart, too.
    launcher.stop().await;
    let launcher = bot.start().await;
    ann.let_go().await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    let report = launcher.report(&bot);
    until(&report, |report| report.undecryptable_pending() == 0).await;
    launcher.stop().await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room).len(), 1);
}

#[tokio::test]
async fn people_are_told_once_that_a_key_is_missing() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let bot = bot.with(|spec| spec.undecryptable.notice_after = Some(Duration::ZERO));
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    ann.kept_back = Some(Vec::new());
    ann.say(room, "one").await;
    ann.say(room, "two").await;
    let told = ann.hear(room, 1).await;
    assert!(told[0].starts_with("I cannot read this message yet"), "{told:?}");
    ann.let_go().await;
    let mut heard = ann.hear(room, 3).await;
    heard.sort();
    assert_eq!(heard[1..], ["echo: one", "echo: two"]);
    launcher.stop().await;
}

#[tokio::test]
async fn what_was_said_before_the_agent_came_is_for_others() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    bot.start().await.stop().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("g", Group::Encrypted).await.unwrap().id;
    ann.say(room, "among ourselves").await;
    ann.client.invite(room, bot.account()).await.unwrap();
    let launcher = bot.start().await;
    ann.wait_for_members(room, 2).await;
    ann.say(room, "hello").await;
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    let status = launcher.report(&bot).status(&bot.spec.id, launcher.standing(&bot));
    assert_eq!((status.undecryptable, status.undecryptable_pending), (0, 0));
    launcher.stop().await;
}

#[tokio::test]
async fn who_has_left_reads_nothing_new_and_is_not_answered() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let group = ann.client.create_group("g", Group::Encrypted).await;
    let room = group.unwrap().id;
    for account in [bot.account(), ben.account] {
        ann.client.invite(room, account).await.unwrap();
    }
    ben.client.accept(room).await.unwrap();
    ann.wait_for_members(room, 3).await;
    ann.say(room, "one").await;
    ann.hear(room, 1).await;
    ben.hear(room, 2).await;
    ben.client.leave(room).await.unwrap();
    ann.say(room, "two").await;
    assert_eq!(ann.hear(room, 2).await, ["echo: one", "echo: two"]);
    // What the server does not show him any more, he could not read either.
    let page = ann.client.sync_room(room, 0).await.unwrap();
    let mut unread = 0;
    for row in page.rows {
        let TimelineKind::Encrypted(sealed) = row.kind else { continue };
        let opened = ben.machine.open_row(&sealed, now()).unwrap();
        unread += usize::from(matches!(opened, Opened::Locked { .. }));
    }
    assert_eq!(unread, 2, "the last question and its answer");
    launcher.stop().await;
}

#[tokio::test]
async fn who_is_removed_while_keys_are_given_out_reads_nothing() {
    let world = World::start().await;
    let mut bot = Bot::new(&world, "bot").await;
    let toll = Toll::new(&world.url(), "/messages/fanout ").await;
    bot.spec.account.homeserver = toll.url.clone();
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let mut ben = Person::new(&world, "ben").await;
    let room = ann.client.create_group("g", Group::Encrypted).await.unwrap().id;
    for account in [bot.account(), ben.account] {
        ann.client.invite(room, account).await.unwrap();
    }
    ben.client.accept(room).await.unwrap();
    ann.wait_for_members(room, 3).await;
    ann.say(room, "hello").await;
    toll.held().await;
    ann.client.remove(room, ben.account).await.unwrap();
    toll.let_go();
    assert_eq!(ann.hear(room, 1).await, ["echo: hello"]);
    launcher.stop().await;
    ben.catch_up().await;
    let page = ann.client.sync_room(room, 0).await.unwrap();
    let is_answer = |row: &&TimelineRow| row.sender == bot.account();
    let sealed = page.rows.iter().filter(is_answer).find_map(|row| match &row.kind {
        TimelineKind::Encrypted(sealed) => Some(sealed),
        _ => None,
    });
    let opened = ben.machine.open_row(sealed.unwrap(), now()).unwrap();
    assert!(matches!(opened, Opened::Locked { .. }), "{opened:?}");
}

#[tokio::test]
async fn other_keys_under_a_known_device_are_not_obeyed_until_an_operator_accepts_them() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let token = world.token("ann");
    let mut ann = Person::with_token(&world, token.clone()).await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    // Somebody else with the name of her device.
    let mut mallory = Person::with_token(&world, token).await;
    mallory.say(room, "obey me").await;
    let report = launcher.report(&bot);
    let user = UserId::new(ann.account.to_string());
    let new_key = mallory.machine.ed25519();
    soon(async {
        loop {
            let users = launcher.session(&bot).trust().unwrap().users().await.unwrap();
            let record = users.iter().find(|record| record.user == user).unwrap();
            if record.devices.values().any(|device| device.ed25519 == new_key) {
                break;
            }
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
    mallory.catch_up().await;
    assert!(!mallory.heard_in(room).contains(&"echo: obey me"));
    assert_eq!(report.status(&bot.spec.id, launcher.standing(&bot)).answered, 1);
    decide(&launcher, &bot, &ann, Order::Approve(None)).await;
    mallory.machine.rotate(room).unwrap();
    mallory.say(room, "and now?").await;
    assert_eq!(mallory.hear(room, 1).await, ["echo: and now?"]);
    launcher.stop().await;
}

fn tables(world: &World) -> Connection {
    let tables = Connection::open(world.data().join("messager.db")).unwrap();
    tables.busy_timeout(Duration::from_secs(5)).unwrap();
    tables
}

#[tokio::test]
async fn what_waits_is_answered_when_the_server_shows_the_right_keys_again() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let token = world.token("ann");
    let mut ann = Person::with_token(&world, token.clone()).await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    tables(&world).execute_batch("CREATE TABLE kept AS SELECT * FROM bundles").unwrap();
    // The server shows other keys for her device.
    let _other = Person::with_token(&world, token).await;
    let user = UserId::new(ann.account.to_string());
    let session = launcher.session(&bot);
    session.rooms().unwrap().open_direct(&user, None).await.unwrap();
    ann.say(room, "is it me?").await;
    // What was said before this is read before it.
    let mut ben = Person::new(&world, "ben").await;
    let other = ben.chat_with(bot.account()).await;
    ben.say(other, "hello").await;
    ben.hear(other, 1).await;
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room).len(), 1);
    // While it runs: an agent whose server was away tries again all that waits.
    tables(&world)
        .execute_batch(
            "UPDATE bundles SET (identity_key, signed_pre_key_id, signed_pre_key,
             signed_pre_key_signature, meta) = (SELECT identity_key, signed_pre_key_id,
             signed_pre_key, signed_pre_key_signature, meta FROM kept WHERE kept.id = bundles.id)
             WHERE id IN (SELECT id FROM kept)",
        )
        .unwrap();
    session.rooms().unwrap().open_direct(&user, None).await.unwrap();
    drop(session);
    // With the greeting that the operator asked for.
    let heard = ann.hear(room, 3).await;
    assert!(heard.contains(&"echo: is it me?".to_owned()), "{heard:?}");
    launcher.stop().await;
}

#[tokio::test]
async fn what_another_device_of_the_agents_account_wrote_is_not_complained_about() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let mut earlier = Person::new(&world, "bot").await;
    let device = Address::new(bot.account(), bot.me.device.clone());
    earlier.withheld.insert(device, Withheld::Blocked);
    earlier.say(room, "I was the agent").await;
    ann.say(room, "hello").await;
    ann.hear(room, 2).await;
    let status = launcher.report(&bot).status(&bot.spec.id, launcher.standing(&bot));
    assert_eq!((status.received, status.undecryptable), (1, 0));
    launcher.stop().await;
}

#[tokio::test]
async fn an_approval_is_of_the_keys_that_the_operator_was_shown() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let token = world.token("ann");
    let mut ann = Person::with_token(&world, token.clone()).await;
    let room = ann.chat_with(bot.account()).await;
    ann.say(room, "hello").await;
    ann.hear(room, 1).await;
    launcher.stop().await;
    // The server shows other keys at the moment before the operator says yes.
    let mallory = Person::with_token(&world, token).await;
    let shown = mallory.client.devices(ann.account).await.unwrap();
    let address = Address::new(bot.account(), bot.me.device.clone());
    let mut machine = Machine::open(&bot.store(), &key(), &address).unwrap().unwrap();
    machine.devices(ann.account, &shown, now()).unwrap();
    drop(machine);
    let launcher = bot.start().await;
    let session = launcher.session(&bot);
    let trust = session.trust().unwrap();
    let user = UserId::new(ann.account.to_string());
    let device = device_of(&trust.users().await.unwrap(), &user);
    let approve = Order::Approve(Some(device.clone()));
    let refused = trust.decide(&user, &approve).await.unwrap_err();
    assert!(matches!(refused, TrustError::Refused { .. }), "{refused}");
    let users = trust.users().await.unwrap();
    let record = users.iter().find(|record| record.user == user).unwrap();
    assert_eq!(record.devices[&device].ed25519, mallory.machine.ed25519());
    assert!(!record.devices[&device].is_approved(), "nobody has approved these");
    // Now they were shown.
    let record = trust.decide(&user, &approve).await.unwrap();
    assert!(record.devices[&device].is_approved());
    drop(session);
    launcher.stop().await;
}

/// The one device of a user.
fn device_of(users: &[UserRecord], user: &UserId) -> DeviceId {
    let record = users.iter().find(|record| record.user == *user).unwrap();
    record.devices.keys().next().unwrap().clone()
}

#[tokio::test]
async fn nothing_that_is_said_is_in_a_file_in_the_clear() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let secret = "xyzzy-plugh-0451";
    ann.say(room, secret).await;
    ann.hear(room, 1).await;
    for folder in [world.data().to_owned(), bot.spec.data_folder()] {
        for (name, content) in crate::lives::files(&folder) {
            let found = memchr::memmem::find(&content, secret.as_bytes());
            assert!(found.is_none(), "{name}");
        }
    }
    launcher.stop().await;
}
