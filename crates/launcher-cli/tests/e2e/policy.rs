//! Who gets keys and who is obeyed, in each trust mode: read from what the
//! launcher sends to devices, and from what it answers.

use std::collections::BTreeSet;

use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, RoomOptions,
    tap::{Action, Matcher, Request},
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::Running,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("policy::tofu_gives_a_new_device_keys_and_says_that_it_is_new", |bed| new_device(bed, "tofu")),
    ("policy::cross_signing_withholds_from_a_new_device_until_its_owner_signs_it", |bed| {
        new_device(bed, "cross-signing")
    }),
    ("policy::manual_withholds_from_a_new_device_until_an_operator_approves_it", |bed| {
        new_device(bed, "manual")
    }),
    ("policy::tofu_goes_on_with_somebody_who_reset_their_identity", |bed| reset(bed, "tofu")),
    ("policy::cross_signing_goes_on_with_a_stranger_who_reset_their_identity", |bed| {
        reset(bed, "cross-signing")
    }),
    ("policy::manual_stops_somebody_who_reset_their_identity_until_they_are_approved", |bed| {
        reset(bed, "manual")
    }),
    ("policy::manual_tells_somebody_who_waits_once_and_answers_when_they_are_approved", first),
    ("policy::blocking_rotates_the_rooms_session_and_withholds_in_tofu", |bed| block(bed, "tofu")),
    ("policy::blocking_rotates_the_rooms_session_and_withholds_in_manual", |bed| {
        block(bed, "manual")
    }),
    ("policy::careful_modes_do_not_obey_messages_in_the_clear", in_the_clear),
    ("policy::a_decision_made_while_no_launcher_runs_holds_from_the_first_message", offline),
    ("policy::silent_members_read_the_first_answer_in_careful_modes", silent),
    ("policy::who_is_blocked_before_they_were_met_gets_nothing", blocked_unseen),
    ("policy::messages_that_come_together_wait_together", together),
    ("policy::a_device_that_is_removed_gets_nothing_more", removed),
    ("policy::a_server_with_two_messages_under_one_name_has_no_untrusted_one_obeyed", two_faces),
    ("policy::a_member_who_joins_later_reads_the_first_answer_in_careful_modes", joins_later),
];

/// An agent in a trust mode, and somebody who may talk to it.
pub(crate) struct Scene {
    pub(crate) tapped: Tapped,
    pub(crate) agent: String,
    pub(crate) alice: JsUser,
}

impl Scene {
    /// The agent is called `agent`.
    pub(crate) fn new(bed: &Bed, mode: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let tapped = Tapped::new(bed)?;
        let user = bed.homeserver().register_without_login(&bed.name("agent"), PASSWORD)?;
        tapped.place.agent_for("agent", &user, &format!("password: \"{PASSWORD}\""), "")?;
        let secret = format!("password: \"{PASSWORD}\"");
        let config = crate::launcher::agent_config("agent", &user, &secret, "")
            .replace("encryption:\n", &format!("encryption:\n  trust_mode: {mode}\n"));
        tapped.place.write_agent("agent", &config)?;
        Ok(Self { tapped, agent: user, alice: bed.person("alice")? })
    }

    /// A room of Alice, Bob and the agent.
    pub(crate) fn with_bob(
        &self,
        bed: &Bed,
    ) -> Result<(JsUser, String), Box<dyn std::error::Error>> {
        let bob = bed.person("bob")?;
        let invited = RoomOptions::encrypted().invite(bob.user_id()).invite(&self.agent);
        let room = self.alice.create_room(invited)?;
        bob.join(&room)?;
        for user in [bob.user_id(), &self.agent] {
            self.alice.wait_for_member(&room, user, "join", DEFAULT_TIMEOUT)?;
        }
        Ok((bob, room))
    }

    /// Runs `launcher trust agent …`, which has to work.
    pub(crate) fn trust(&self, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.tapped.place.command(&[&["trust", "agent"], arguments].concat())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}{error}");
        Ok(said)
    }

    /// Lets Alice in where the mode asks for it. The agent has to have met her.
    fn approve(&self, mode: &str) -> Outcome {
        if mode == "manual" {
            self.trust(&["approve", self.alice.user_id()])?;
        }
        Ok(())
    }

    /// What the launcher gave keys to, and what it told that there are none.
    fn shared(&self, mark: u64) -> Shared {
        Shared::of(&self.tapped.tap.requests_since(mark))
    }

    /// Fails if the agent has answered an event. Something that it was asked
    /// later is answered already.
    pub(crate) fn is_unanswered(&self, room: &str, event: &str) -> Outcome {
        let replies = self.alice.messages(room)?;
        let found = replies
            .iter()
            .find(|message| message.sender == self.agent && message.reply_to() == Some(event));
        match found {
            Some(message) => Err(format!("{event} was answered: {message:?}").into()),
            None => Ok(()),
        }
    }
}

/// Devices, as user and id.
type Devices = BTreeSet<(String, String)>;

/// What was sent to devices.
struct Shared {
    keys: Devices,
    withheld: BTreeSet<(String, String, String)>,
}

impl Shared {
    fn of(requests: &[std::sync::Arc<Request>]) -> Self {
        let mut shared = Self { keys: Devices::new(), withheld: BTreeSet::new() };
        for request in requests {
            let is = |kind: &str| request.path.contains(&format!("/sendToDevice/{kind}/"));
            let Some(body) = request.json() else { continue };
            for (user, device, content) in messages(&body) {
                if is("m.room.encrypted") {
                    shared.keys.insert((user, device));
                } else if is("m.room_key.withheld") {
                    let code = content["code"].as_str().unwrap_or_default().to_owned();
                    shared.withheld.insert((user, device, code));
                }
            }
        }
        shared
    }

    fn has(&self, device: &JsUser) -> bool {
        self.keys.contains(&(device.user_id().to_owned(), device.device_id().to_owned()))
    }

    fn withholds(&self, device: &JsUser, code: &str) -> bool {
        let (user, id) = (device.user_id().to_owned(), device.device_id().to_owned());
        self.withheld.contains(&(user, id, code.to_owned()))
    }
}

fn messages(body: &Value) -> Vec<(String, String, Value)> {
    let users = body["messages"].as_object().into_iter().flatten();
    users
        .flat_map(|(user, devices)| {
            let devices = devices.as_object().into_iter().flatten();
            devices.map(|(device, content)| (user.clone(), device.clone(), content.clone()))
        })
        .collect()
}

/// Waits for a line of the log about a device.
pub(crate) fn wait_about(
    launcher: &mut Running<'_>,
    event: &str,
    device: &JsUser,
) -> Result<Value, Box<dyn std::error::Error>> {
    let id = device.device_id().to_owned();
    launcher.wait_for_line(event, |line| line["event"] == event && line["device_id"] == id.as_str())
}

/// Waits until the log says that a message is not acted upon.
pub(crate) fn wait_refused(
    launcher: &mut Running<'_>,
    message: &str,
) -> Result<Value, Box<dyn std::error::Error>> {
    launcher.wait_for_line("a refused message", |line| {
        line["event"] == "message_refused" && line["event_id"] == message
    })
}

fn laptop_of(bed: &Bed, user: &JsUser) -> Result<JsUser, Box<dyn std::error::Error>> {
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    Ok(bed.device_of(user.user_id(), options)?)
}

fn new_device(bed: &Bed, mode: &str) -> Outcome {
    let scene = Scene::new(bed, mode)?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let phone = &scene.alice;
    let room = room_with(phone, &scene.agent)?;
    if mode == "manual" {
        phone.send_text(&room, "may I?")?;
        launcher.wait_for_event("message_refused", "agent")?;
    }
    scene.approve(mode)?;
    ask(phone, &room, "before", &scene.agent)?;
    wait_about(&mut launcher, "device_first_seen", phone)?;

    // Whoever has the password, or the server, adds a device like this.
    let laptop = laptop_of(bed, phone)?;
    let new = wait_about(&mut launcher, "device_new", &laptop)?;
    assert_eq!((&new["level"], &new["signed"]), (&"WARN".into(), &false.into()));
    let mark = scene.tapped.tap.mark();
    ask(phone, &room, "with a new device", &scene.agent)?;
    let shared = scene.shared(mark);
    assert_eq!(shared.has(&laptop), mode == "tofu", "{mode}");
    assert_eq!(shared.withholds(&laptop, "m.unverified"), mode != "tofu", "{mode}");

    laptop.wait_for_member(&room, laptop.user_id(), "join", DEFAULT_TIMEOUT)?;
    let said = laptop.send_text(&room, "from the new device")?;
    if mode == "tofu" {
        laptop.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
        return scene.tapped.check();
    }
    let refused = wait_refused(&mut launcher, &said)?;
    let code = if mode == "manual" { "awaiting_approval" } else { "unsigned" };
    assert_eq!(refused["code"], code);
    ask(phone, &room, "and the old one", &scene.agent)?;
    scene.is_unanswered(&room, &said)?;

    phone.sign_own_device(laptop.device_id())?;
    wait_about(&mut launcher, "device_signed", &laptop)?;
    if mode == "manual" {
        ask(phone, &room, "signed, not approved", &scene.agent)?;
        scene.is_unanswered(&room, &said)?;
        scene.trust(&["approve", phone.user_id(), laptop.device_id()])?;
    }
    // What waited is answered, without a restart.
    phone.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    let mark = scene.tapped.tap.mark();
    let asked = laptop.send_text(&room, "and now")?;
    laptop.wait_for_replies(&room, &asked, 1, DEFAULT_TIMEOUT)?;
    assert!(!scene.shared(mark).withholds(&laptop, "m.unverified"));
    scene.tapped.check()
}

fn reset(bed: &Bed, mode: &str) -> Outcome {
    let scene = Scene::new(bed, mode)?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    if mode == "manual" {
        alice.send_text(&room, "may I?")?;
        launcher.wait_for_event("message_refused", "agent")?;
    }
    scene.approve(mode)?;
    ask(alice, &room, "before", &scene.agent)?;
    alice.reset_identity()?;
    let changed = launcher.wait_for_event("identity_changed", "agent")?;
    assert_eq!(changed["user"], alice.user_id());
    assert_eq!((&changed["level"], &changed["was_verified"]), (&"WARN".into(), &false.into()));
    if mode != "manual" {
        ask(alice, &room, "after", &scene.agent)?;
        let shown = scene.trust(&["--json"])?;
        let shown: Value = serde_json::from_str(&shown)?;
        let user = shown["users"].as_array().into_iter().flatten();
        let mut user = user.filter(|user| user["user"] == alice.user_id());
        assert!(user.next().is_some_and(|user| user["changed"].is_object()), "{shown}");
        return scene.tapped.check();
    }
    let mark = scene.tapped.tap.mark();
    let said = alice.send_text(&room, "after")?;
    let refused = wait_refused(&mut launcher, &said)?;
    assert_eq!(refused["code"], "identity_changed");
    let hint = MessageFilter::new().sender(&scene.agent).reaction_to(&said);
    alice.wait_for_message(&room, hint, DEFAULT_TIMEOUT)?;
    scene.is_unanswered(&room, &said)?;
    assert!(!scene.shared(mark).has(alice));
    scene.trust(&["approve", alice.user_id()])?;
    alice.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    scene.tapped.check()
}

fn first(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "manual")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    let first = alice.send_text(&room, "hello")?;
    let hint = MessageFilter::new().sender(&scene.agent).reaction_to(&first);
    let hint = alice.wait_for_message(&room, hint, DEFAULT_TIMEOUT)?;
    let key = &hint.content["m.relates_to"]["key"];
    assert!(key.as_str().is_some_and(|key| key.contains("approve")), "{key}");
    let second = alice.send_text(&room, "anybody there?")?;
    wait_refused(&mut launcher, &second)?;
    assert!(!scene.shared(0).has(alice), "nothing without an operator's word");
    scene.trust(&["approve", alice.user_id()])?;
    for said in [&first, &second] {
        alice.wait_for_replies(&room, said, 1, DEFAULT_TIMEOUT)?;
    }
    ask(alice, &room, "thank you", &scene.agent)?;
    let reactions = alice.messages(&room)?;
    let reactions = reactions.iter().filter(|message| message.event_type == "m.reaction");
    assert_eq!(reactions.count(), 1, "told once");
    scene.tapped.answered_once(
        bed.homeserver(),
        alice,
        &room,
        &scene.agent,
        &[first.clone(), second.clone()],
    )?;
    scene.tapped.check()
}

fn block(bed: &Bed, mode: &str) -> Outcome {
    let scene = Scene::new(bed, mode)?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let (bob, room) = scene.with_bob(bed)?;
    let alice = &scene.alice;
    if mode == "manual" {
        for (person, name) in [(alice, "alice"), (&bob, "bob")] {
            let said = person.send_text(&room, name)?;
            wait_refused(&mut launcher, &said)?;
            scene.trust(&["approve", person.user_id()])?;
            person.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
        }
    }
    let before = ask(alice, &room, "before", &scene.agent)?;
    ask(&bob, &room, "bob, before", &scene.agent)?;
    scene.trust(&["block", bob.user_id()])?;
    let mark = scene.tapped.tap.mark();
    let after = ask(alice, &room, "after", &scene.agent)?;
    let shared = scene.shared(mark);
    assert!(shared.has(alice) && !shared.has(&bob));
    assert!(shared.withholds(&bob, "m.blacklisted"));
    let session = |message: &launcher_testbed::Message| {
        message.wire_content["session_id"].as_str().map(ToOwned::to_owned)
    };
    assert_ne!(session(&before), session(&after));
    let unreadable = MessageFilter::new().event_id(&after.event_id);
    let seen = bob.wait_for_message(&room, unreadable.undecryptable(), DEFAULT_TIMEOUT)?;
    assert!(seen.decryption_failure.is_some());

    // A device that comes later is blocked, too; and nobody tells him anything.
    let laptop = laptop_of(bed, &bob)?;
    wait_about(&mut launcher, "device_new", &laptop)?;
    let mark = scene.tapped.tap.mark();
    let said = bob.send_text(&room, "am I blocked?")?;
    wait_refused(&mut launcher, &said)?;
    ask(alice, &room, "and bob?", &scene.agent)?;
    scene.is_unanswered(&room, &said)?;
    let shared = scene.shared(mark);
    assert!(!shared.has(&bob) && !shared.has(&laptop));
    let told = alice.messages(&room)?;
    let told = told.iter().filter(|message| message.event_type == "m.reaction");
    assert_eq!(told.count(), if mode == "manual" { 2 } else { 0 });

    scene.trust(&["withdraw", bob.user_id()])?;
    if mode == "manual" {
        scene.trust(&["approve", bob.user_id(), bob.device_id()])?;
    }
    ask(&bob, &room, "let in again", &scene.agent)?;
    scene.tapped.check()
}

fn in_the_clear(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "cross-signing")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let plain = alice.create_room(RoomOptions::plain().invite(&scene.agent))?;
    alice.wait_for_member(&plain, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    let said = alice.send_text(&plain, "no lock on this")?;
    let refused = wait_refused(&mut launcher, &said)?;
    assert_eq!(refused["code"], "in_the_clear");
    let hint = MessageFilter::new().sender(&scene.agent).reaction_to(&said);
    alice.wait_for_message(&plain, hint, DEFAULT_TIMEOUT)?;
    let again = alice.send_text(&plain, "still none")?;
    wait_refused(&mut launcher, &again)?;
    let room = room_with(alice, &scene.agent)?;
    ask(alice, &room, "with a lock", &scene.agent)?;
    let reactions = alice.messages(&plain)?;
    let reactions = reactions.iter().filter(|message| message.event_type == "m.reaction");
    assert_eq!(reactions.count(), 1, "told once");
    scene.is_unanswered(&plain, &said)
}

fn offline(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "manual")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    let said = alice.send_text(&room, "I wait")?;
    wait_refused(&mut launcher, &said)?;
    assert!(launcher.stop()?.0.success());
    let shown = scene.trust(&[])?;
    assert!(shown.contains(alice.user_id()) && shown.contains(alice.device_id()), "{shown}");
    scene.trust(&["approve", alice.user_id()])?;
    let _launcher = scene.tapped.start_ready("agent")?;
    alice.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    let shown: Value = serde_json::from_str(&scene.trust(&["--json"])?)?;
    let users = shown["users"].as_array().into_iter().flatten();
    let mut users = users.filter(|user| user["user"] == alice.user_id());
    let verdict = users.next().map(|user| user["devices"][0]["verdict"].clone());
    assert_eq!(verdict, Some("trusted".into()), "{shown}");
    scene.tapped.check()
}

fn joins_later(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "cross-signing")?;
    let _launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    ask(alice, &room, "before", &scene.agent)?;
    let bob = bed.person("bob")?;
    alice.invite(&room, bob.user_id())?;
    bob.join(&room)?;
    alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    bob.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    let answer = ask(alice, &room, "with bob", &scene.agent)?;
    let read = MessageFilter::new().event_id(&answer.event_id).body("echo: with bob");
    bob.wait_for_message(&room, read, DEFAULT_TIMEOUT)?;
    scene.tapped.check()
}

fn silent(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "cross-signing")?;
    let _launcher = scene.tapped.start_ready("agent")?;
    let (alice, bob) = (&scene.alice, bed.person("bob")?);
    let room = alice.create_room(RoomOptions::encrypted().invite(bob.user_id()))?;
    bob.join(&room)?;
    alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    // So much that the agent's first look into the room does not show him.
    for number in 0..110 {
        alice.send_state(&room, "org.example.count", "", &json!({ "number": number }))?;
    }
    alice.invite(&room, &scene.agent)?;
    alice.wait_for_member(&room, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    let answer = ask(alice, &room, "who is there?", &scene.agent)?;
    let read = MessageFilter::new().event_id(&answer.event_id).body("echo: who is there?");
    bob.wait_for_message(&room, read, DEFAULT_TIMEOUT)?;
    scene.tapped.check()
}

fn blocked_unseen(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "tofu")?;
    let _launcher = scene.tapped.start_ready("agent")?;
    let bob = bed.person("bob")?;
    scene.trust(&["block", bob.user_id()])?;
    let alice = &scene.alice;
    let room = alice.create_room(RoomOptions::encrypted().invite(bob.user_id()))?;
    bob.join(&room)?;
    alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    alice.invite(&room, &scene.agent)?;
    alice.wait_for_member(&room, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    let mark = scene.tapped.tap.mark();
    ask(alice, &room, "not for bob", &scene.agent)?;
    let shared = scene.shared(mark);
    assert!(shared.has(alice) && !shared.has(&bob));
    assert!(shared.withholds(&bob, "m.blacklisted"));
    scene.tapped.check()
}

fn together(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "manual")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    let mut said = Vec::new();
    for number in 0..12 {
        said.push(scene.tapped.say(alice, &room, &format!("line {number}"))?);
    }
    for message in &said {
        wait_refused(&mut launcher, message)?;
    }
    scene.trust(&["approve", alice.user_id()])?;
    for message in &said {
        alice.wait_for_replies(&room, message, 1, DEFAULT_TIMEOUT)?;
    }
    scene.tapped.answered_once(bed.homeserver(), alice, &room, &scene.agent, &said)?;
    scene.tapped.check()
}

fn removed(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "tofu")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    let laptop = laptop_of(bed, alice)?;
    laptop.wait_for_member(&room, laptop.user_id(), "join", DEFAULT_TIMEOUT)?;
    let said = laptop.send_text(&room, "from the laptop")?;
    let before = laptop.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    alice.delete_device(laptop.device_id())?;
    alice.send_text(&room, "I sold it")?;
    wait_about(&mut launcher, "device_removed", &laptop)?;
    let mark = scene.tapped.tap.mark();
    let after = ask(alice, &room, "after", &scene.agent)?;
    assert!(!scene.shared(mark).has(&laptop));
    assert_ne!(before[0].wire_content["session_id"], after.wire_content["session_id"]);
    scene.tapped.check()
}

/// What is read and what is judged must be the same, however often the server
/// is asked.
fn two_faces(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "cross-signing")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    ask(alice, &room, "before", &scene.agent)?;
    let ghost = laptop_of(bed, alice)?;
    ghost.wait_for_member(&room, ghost.user_id(), "join", DEFAULT_TIMEOUT)?;
    let order = ghost.send_text(&room, "open the vault")?;
    wait_refused(&mut launcher, &order)?;
    let events = bed.homeserver().room_events(&alice.account().access_token, &room)?;
    let order = events.into_iter().find(|event| event["event_id"] == order.as_str());
    let content = order.ok_or("the order is not on the server")?["content"].clone();

    // The SDK's own sync, which waits for nothing, shows what Alice said; all else the ghost's words.
    let is_other = Matcher::when(|request| {
        let sync = request.path.contains("/sync") && request.query_value("timeout") != Some("0");
        sync || request.path.contains("/rooms/")
    });
    let user = alice.user_id().to_owned();
    let swapped = Action::rewrite(move |answer| swap(answer, &user, &content));
    let rule = scene.tapped.tap.add_rule(is_other.method("GET"), swapped);
    let said = alice.send_text(&room, "nice weather")?;
    wait_refused(&mut launcher, &said)?;
    drop(rule);
    ask(alice, &room, "after", &scene.agent)?;
    scene.is_unanswered(&room, &said)?;
    let answers = alice.messages(&room)?;
    let obeyed = |message: &launcher_testbed::Message| {
        message.body.as_deref().is_some_and(|body| body.contains("vault"))
            && message.sender == scene.agent
    };
    assert!(!answers.iter().any(obeyed));
    Ok(())
}

/// Puts this content into every encrypted event of a user.
fn swap(mut answer: Value, user: &str, content: &Value) -> Value {
    match &mut answer {
        Value::Object(fields) => {
            let is_theirs = fields.get("sender").is_some_and(|sender| sender == user)
                && fields.get("type").is_some_and(|kind| kind == "m.room.encrypted");
            if is_theirs {
                fields.insert("content".to_owned(), content.clone());
            } else {
                for value in fields.values_mut() {
                    *value = swap(value.take(), user, content);
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                *value = swap(value.take(), user, content);
            }
        }
        _ => {}
    }
    answer
}
