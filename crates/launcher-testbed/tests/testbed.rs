//! Shows that the testbed tells the truth, before other tests rely on it.
//!
//! One test with many scenarios: they share a homeserver, which takes longer
//! to start than any of them to run, also where a runner gives every test a
//! process of its own. Each scenario has its own users and rooms.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the scenarios of the one test name themselves")]

#[path = "testbed/conversing.rs"]
mod conversing;
#[path = "testbed/homeserver.rs"]
mod homeserver;
#[path = "testbed/recovery.rs"]
mod recovery;
#[path = "testbed/small_disk.rs"]
mod small_disk;
#[path = "testbed/tap.rs"]
mod tap;
#[path = "testbed/verification.rs"]
mod verification;

use std::{
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, Encryption, Homeserver, HomeserverOptions, Isolation, JsEngine,
    JsUser, LoginOptions, MessageFilter, RoomOptions,
};
use serde_json::json;

use self::{
    conversing::{a_file_arrives_as_it_was_sent, a_message_changes_and_is_deleted},
    homeserver::{
        an_administrator_deletes_devices_and_ends_accounts,
        what_is_kept_for_encryption_can_be_compared,
    },
    recovery::{
        a_further_device_leaves_the_others_alone, a_passphrase_makes_a_recovery_key,
        a_recovery_key_brings_another_device_all_it_needs, a_wrong_recovery_key_changes_nothing,
    },
    verification::{
        a_cancelled_verification_is_over_for_both, a_device_may_be_signed_later,
        a_flood_of_key_requests_arrives, a_reaction_is_seen_with_what_it_says,
        a_replaced_identity_is_not_verified_anymore, a_scanned_code_verifies_both,
        a_verified_device_is_signed, a_withheld_key_says_why, different_emojis_verify_nobody,
        emojis_are_the_same_whoever_begins, two_users_verify_each_other_by_emojis,
    },
};

/// Long enough for what would come to have come; an absence takes this long.
const SHORT: Duration = Duration::from_secs(2);

type Scenario = (&'static str, fn(&Testbed));

/// The name of a function, and the function.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn(&Testbed))),*] };
}

const SCENARIOS: &[Scenario] = scenarios![
    two_users_read_each_other_in_an_encrypted_room,
    only_signed_devices_are_read_by_a_user_who_insists_on_it,
    a_plain_room_is_plain_until_encryption_is_turned_on,
    a_discarded_session_is_not_used_again,
    a_wait_in_vain_says_what_was_there_instead,
    a_slow_wait_holds_up_nobody_else,
    devices_are_listed_with_their_keys,
    leaving_and_removing_are_seen_by_the_others,
    an_administrator_deletes_devices_and_ends_accounts,
    what_is_kept_for_encryption_can_be_compared,
    a_recovery_key_brings_another_device_all_it_needs,
    a_passphrase_makes_a_recovery_key,
    a_wrong_recovery_key_changes_nothing,
    a_further_device_leaves_the_others_alone,
    two_users_verify_each_other_by_emojis,
    emojis_are_the_same_whoever_begins,
    different_emojis_verify_nobody,
    a_cancelled_verification_is_over_for_both,
    a_scanned_code_verifies_both,
    a_verified_device_is_signed,
    a_replaced_identity_is_not_verified_anymore,
    a_device_may_be_signed_later,
    a_withheld_key_says_why,
    a_flood_of_key_requests_arrives,
    a_reaction_is_seen_with_what_it_says,
    a_file_arrives_as_it_was_sent,
    a_message_changes_and_is_deleted,
];

#[test]
fn users_of_the_real_engine_behave_on_the_real_homeserver() {
    let testbed = Testbed::start();
    for (name, scenario) in SCENARIOS {
        let started = Instant::now();
        // Printed first, so that a failure is below the name of its scenario.
        println!("{name}");
        scenario(&testbed);
        println!("    after {:.1?}", started.elapsed());
    }
}

fn two_users_read_each_other_in_an_encrypted_room(testbed: &Testbed) {
    let [alice, bob] = testbed.users(["alice", "bob"], LoginOptions::default);
    let room = room_with(&alice, &bob, RoomOptions::encrypted());

    let sent = alice.send_text(&room, "hello bob").unwrap();
    let seen = bob
        .wait_for_message(&room, MessageFilter::new().body("hello bob"), DEFAULT_TIMEOUT)
        .unwrap();
    assert_eq!((seen.event_id.as_str(), seen.sender.as_str()), (sent.as_str(), alice.user_id()));
    assert!(seen.encrypted);
    assert_eq!(seen.msgtype.as_deref(), Some("m.text"));
    assert_eq!(seen.decryption_failure, None);
    assert!(seen.wire_content["ciphertext"].is_string());

    let reply = bob.send_reply(&room, &sent, "hello alice").unwrap();
    let seen = alice
        .wait_for_message(
            &room,
            MessageFilter::new().sender(bob.user_id()).reply_to(&sent),
            DEFAULT_TIMEOUT,
        )
        .unwrap();
    assert_eq!((seen.event_id, seen.body.as_deref()), (reply, Some("hello alice")));

    bob.send_in_thread(&room, &sent, "in the thread").unwrap();
    let replies = alice.wait_for_replies(&room, &sent, 2, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[1].thread_root(), Some(sent.as_str()));

    // What a user sends comes back to it as a message like any other.
    let own = alice.messages(&room).unwrap();
    assert_eq!(own[0].event_id, sent);
    assert_eq!(own[0].body.as_deref(), Some("hello bob"));
}

fn only_signed_devices_are_read_by_a_user_who_insists_on_it(testbed: &Testbed) {
    let strict = || LoginOptions { isolation: Isolation::OnlySigned, ..Default::default() };
    let [carol] = testbed.users(["carol"], strict);
    let [dave] = testbed.users(["dave"], LoginOptions::default);
    let [erin] = testbed.users(["erin"], || LoginOptions {
        cross_signing: CrossSigning::Leave,
        ..Default::default()
    });
    let room = room_with(&carol, &dave, RoomOptions::encrypted());
    carol.invite(&room, erin.user_id()).unwrap();
    erin.join(&room).unwrap();
    carol.wait_for_member(&room, erin.user_id(), "join", DEFAULT_TIMEOUT).unwrap();
    erin.wait_for_member(&room, dave.user_id(), "join", DEFAULT_TIMEOUT).unwrap();

    dave.send_text(&room, "signed").unwrap();
    carol.wait_for_message(&room, MessageFilter::new().body("signed"), DEFAULT_TIMEOUT).unwrap();
    assert!(carol.device_status(dave.user_id(), dave.device_id()).unwrap().signed_by_owner);

    let unsigned = erin.send_text(&room, "unsigned").unwrap();
    let filter = MessageFilter::new().event_id(&unsigned);
    dave.wait_for_message(&room, filter.clone(), DEFAULT_TIMEOUT).unwrap();
    let refused = carol.wait_for_message(&room, filter.undecryptable(), DEFAULT_TIMEOUT).unwrap();
    assert_eq!(refused.decryption_failure.as_deref(), Some("UNSIGNED_SENDER_DEVICE"));
    let status = carol.device_status(erin.user_id(), erin.device_id()).unwrap();
    assert!(status.known && !status.signed_by_owner);

    // Nor does she encrypt for the unsigned device.
    let hidden = carol.send_text(&room, "for the signed").unwrap();
    dave.wait_for_message(&room, MessageFilter::new().event_id(&hidden), DEFAULT_TIMEOUT).unwrap();
    let filter = MessageFilter::new().event_id(&hidden).undecryptable();
    let refused = erin.wait_for_message(&room, filter, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(
        refused.decryption_failure.as_deref(),
        Some("MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE")
    );
}

fn a_plain_room_is_plain_until_encryption_is_turned_on(testbed: &Testbed) {
    let [frank, grace] = testbed.users(["frank", "grace"], LoginOptions::default);
    let room = room_with(&frank, &grace, RoomOptions::plain().name("a room"));
    frank.send_notice(&room, "in the clear").unwrap();
    let filter = MessageFilter::new().body("in the clear").msgtype("m.notice");
    assert!(!grace.wait_for_message(&room, filter, DEFAULT_TIMEOUT).unwrap().encrypted);

    frank.enable_encryption(&room, &Encryption::default()).unwrap();
    frank.send_text(&room, "in secret").unwrap();
    let filter = MessageFilter::new().body_contains("secret");
    assert!(grace.wait_for_message(&room, filter, DEFAULT_TIMEOUT).unwrap().encrypted);
}

fn a_discarded_session_is_not_used_again(testbed: &Testbed) {
    let [heidi, ivan] = testbed.users(["heidi", "ivan"], LoginOptions::default);
    let room = room_with(&heidi, &ivan, RoomOptions::encrypted());
    heidi.send_text(&room, "one").unwrap();
    heidi.send_text(&room, "two").unwrap();
    heidi.discard_session(&room).unwrap();
    heidi.send_text(&room, "three").unwrap();
    let session = |body| {
        let seen =
            ivan.wait_for_message(&room, MessageFilter::new().body(body), DEFAULT_TIMEOUT).unwrap();
        seen.wire_content["session_id"].clone()
    };
    assert_eq!(session("one"), session("two"));
    assert_ne!(session("two"), session("three"));
}

fn a_wait_in_vain_says_what_was_there_instead(testbed: &Testbed) {
    let [judy] = testbed.users(["judy"], LoginOptions::default);
    let room = judy.create_room(RoomOptions::plain()).unwrap();
    judy.send_text(&room, "something else").unwrap();
    let error = judy.wait_for_message(&room, MessageFilter::new().body("this"), SHORT).unwrap_err();
    assert!(error.is_timeout());
    let text = error.to_string();
    assert!(text.contains(r#"a message like {"body":"this"}"#), "{text}");
    assert!(text.contains(r#"m.room.message "something else""#), "{text}");
}

fn a_slow_wait_holds_up_nobody_else(testbed: &Testbed) {
    let [kim, leo] = testbed.users(["kim", "leo"], LoginOptions::default);
    let room = room_with(&kim, &leo, RoomOptions::encrypted());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            leo.wait_for_message(&room, MessageFilter::new().body("at last"), DEFAULT_TIMEOUT)
                .unwrap()
        });
        assert_eq!(leo.messages(&room).unwrap().len(), 0);
        kim.send_text(&room, "at last").unwrap();
        assert_eq!(waiting.join().unwrap().sender, kim.user_id());
    });
}

fn devices_are_listed_with_their_keys(testbed: &Testbed) {
    let [mia, noah] = testbed.users(["mia", "noah"], LoginOptions::default);
    let devices = noah.user_devices(mia.user_id()).unwrap();
    assert_eq!(devices.len(), 1, "registering makes no device of its own");
    assert_eq!(devices[0].device_id, mia.device_id());
    assert!(devices[0].ed25519.is_some() && devices[0].curve25519.is_some());

    room_with(&mia, &noah, RoomOptions::encrypted());
    let unsigned = LoginOptions { cross_signing: CrossSigning::Leave, ..Default::default() };
    let second = testbed
        .engine
        .login(testbed.homeserver.base_url(), mia.user_id(), "secret", unsigned)
        .unwrap();
    let status = noah.wait_for_device(mia.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    assert!(!status.signed_by_owner);
    noah.wait_for_signed_device(mia.user_id(), mia.device_id(), DEFAULT_TIMEOUT).unwrap();
    second.logout().unwrap();

    mia.logout().unwrap();
    mia.stop().unwrap();
    assert_eq!(noah.user_devices(mia.user_id()).unwrap(), []);
    let gone = mia.messages("!any:localhost").unwrap_err();
    assert!(gone.to_string().contains("it was stopped"), "{gone}");
}

fn leaving_and_removing_are_seen_by_the_others(testbed: &Testbed) {
    let [olga, paul] = testbed.users(["olga", "paul"], LoginOptions::default);
    let room = room_with(&olga, &paul, RoomOptions::encrypted());
    olga.send_state(&room, "m.room.topic", "", &json!({ "topic": "removal" })).unwrap();
    olga.kick(&room, paul.user_id()).unwrap();
    paul.wait_for_member(&room, paul.user_id(), "leave", DEFAULT_TIMEOUT).unwrap();
    assert_eq!(paul.join(&room).unwrap_err().code(), Some("M_FORBIDDEN"));
    olga.leave(&room).unwrap();
}

#[test]
fn a_stopped_homeserver_comes_back_with_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let options = HomeserverOptions::default().directory(directory.path());
    let homeserver = Homeserver::start(options.clone()).unwrap();
    let account = homeserver.register("quinn", "secret").unwrap();
    let path = "/_matrix/client/v3/account/whoami";
    homeserver.stop();
    assert!(homeserver.request("GET", path, Some(&account.access_token), None).is_err());
    homeserver.restart().unwrap();
    let (status, answer) =
        homeserver.request("GET", path, Some(&account.access_token), None).unwrap();
    assert_eq!((status, &answer["user_id"]), (200, &json!(account.user_id)));

    let base_url = homeserver.base_url().to_owned();
    drop(homeserver);
    let again = Homeserver::start(options).unwrap();
    assert_eq!(again.base_url(), base_url);
    assert_eq!(again.login("quinn", "secret").unwrap().user_id, account.user_id);
    assert_eq!(again.register("quinn", "secret").unwrap_err().code(), Some("M_USER_IN_USE"));
}

#[test]
fn a_killed_homeserver_comes_back_and_shows_what_was_sent() {
    let homeserver = Homeserver::start(HomeserverOptions::default()).unwrap();
    let account = homeserver.register("rita", "secret").unwrap();
    let token = account.access_token.as_str();
    let ask = |method, path: &str, body| {
        let path = format!("/_matrix/client/v3/{path}");
        let (status, answer) = homeserver.request(method, &path, Some(token), Some(&body)).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let room = ask("POST", "createRoom", json!({}))["room_id"].as_str().unwrap().to_owned();
    // More than one page of the room's history.
    let sent: Vec<_> = (0..120)
        .map(|n| {
            let path = format!("rooms/{room}/send/m.room.message/{n}");
            ask("PUT", &path, json!({ "msgtype": "m.text", "body": "x" }))["event_id"].clone()
        })
        .collect();
    homeserver.kill();
    assert!(homeserver.room_events(token, &room).is_err());
    homeserver.restart().unwrap();
    let events = homeserver.room_events(token, &room).unwrap();
    assert_eq!(events[0]["type"], "m.room.create");
    let messages = events.iter().filter(|event| event["type"] == "m.room.message");
    assert_eq!(messages.map(|event| event["event_id"].clone()).collect::<Vec<_>>(), sent);
}

/// What the scenarios share.
struct Testbed {
    engine: JsEngine,
    homeserver: Homeserver,
}

impl Testbed {
    fn start() -> Self {
        let started = Instant::now();
        let homeserver = Homeserver::start(HomeserverOptions::default()).unwrap();
        let serving = started.elapsed();
        let engine = JsEngine::start().unwrap();
        println!(
            "homeserver after {serving:.1?}, engine after {:.1?}",
            started.elapsed() - serving
        );
        Self { engine, homeserver }
    }

    /// New users, each logged in on one device.
    fn users<const N: usize>(
        &self,
        names: [&str; N],
        options: fn() -> LoginOptions,
    ) -> [JsUser; N] {
        names.map(|name| {
            let user_id = self.homeserver.register_without_login(name, "secret").unwrap();
            self.engine.login(self.homeserver.base_url(), &user_id, "secret", options()).unwrap()
        })
    }
}

/// A room of two, both of whom see each other in it.
fn room_with(owner: &JsUser, guest: &JsUser, options: RoomOptions) -> String {
    let room = owner.create_room(options.invite(guest.user_id())).unwrap();
    guest.join(&room).unwrap();
    owner.wait_for_member(&room, guest.user_id(), "join", DEFAULT_TIMEOUT).unwrap();
    guest.wait_for_member(&room, owner.user_id(), "join", DEFAULT_TIMEOUT).unwrap();
    room
}
