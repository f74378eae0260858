//! Keys that come after the message, or never.

use std::time::Duration;

use launcher_testbed::{
    DEFAULT_TIMEOUT, Homeserver, JsUser, LoginOptions, Message, MessageFilter, RoomOptions,
    UnverifiedDevices,
    tap::{Action, Matcher, Rule, Tap},
};
use rustix::process::Signal;
use serde_json::json;

use crate::{Cases, Outcome, bed::Bed, rooms::ask, tapped::Tapped};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) const CASES: Cases = &[
    ("late_keys::a_key_that_is_late_is_waited_for_and_one_of_three_agents_says_so", three),
    ("late_keys::half_a_minute_late_with_the_default_settings", default_settings),
    ("late_keys::a_key_that_comes_while_the_launcher_is_down", while_down),
    ("late_keys::a_key_that_comes_after_a_kill", after_kill),
    ("late_keys::a_key_that_is_withheld_is_explained_once", withheld),
];

pub(crate) const LONG: Cases =
    &[("soak::a_key_that_is_ten_minutes_late", |bed| late_by(bed, Duration::from_secs(600)))];

/// A person whose room keys can be held back on their way to the homeserver.
struct Late {
    person: JsUser,
    tap: Tap,
}

impl Late {
    fn new(bed: &Bed, stem: &str) -> Result<Self> {
        let tap = Tap::start(bed.homeserver().base_url())?;
        let person = bed.person_at(stem, tap.base_url())?;
        Ok(Self { person, tap })
    }

    /// From here on keys do not reach the homeserver, and the client does not notice.
    fn hold(&self) -> Rule {
        let keys = Matcher::path_contains("/sendToDevice/m.room.encrypted/").method("PUT");
        self.tap.add_rule(keys, Action::status(200, json!({})))
    }

    /// Delivers what was held back.
    fn release(&self, rule: Rule, homeserver: &Homeserver) -> Result<()> {
        rule.remove();
        let held = |path: &str| path.contains("/sendToDevice/m.room.encrypted/");
        let token = &self.person.account().access_token;
        for request in self.tap.requests() {
            if held(&request.path) && !request.server_answered {
                homeserver.request("PUT", &request.path, Some(token), request.json().as_ref())?;
            }
        }
        Ok(())
    }
}

fn notices(person: &JsUser, room: &str) -> Result<Vec<Message>> {
    let mut messages = person.messages(room)?;
    messages.retain(|message| message.msgtype.as_deref() == Some("m.notice"));
    Ok(messages)
}

fn three(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let late = Late::new(bed, "late")?;
    let mut room = RoomOptions::encrypted();
    let mut agents = Vec::new();
    for id in ["one", "two", "three"] {
        let more = "undecryptable: { notice_after: 3s }\n";
        agents.push(stage.agent(bed.homeserver(), id, &bed.name(id), "", more)?);
        room = room.invite(&agents[agents.len() - 1]);
    }
    let mut launcher = stage.start()?;
    for id in ["one", "two", "three"] {
        launcher.wait_for_event("agent_ready", id)?;
    }
    let room = late.person.create_room(room)?;
    for agent in &agents {
        late.person.wait_for_member(&room, agent, "join", DEFAULT_TIMEOUT)?;
    }
    let steady = late.person.send_text(&room, "steady")?;
    late.person.wait_for_replies(&room, &steady, 3, DEFAULT_TIMEOUT)?;

    late.person.discard_session(&room)?;
    let held = late.hold();
    let first = stage.say(&late.person, &room, "first")?;
    let second = stage.say(&late.person, &room, "second")?;
    let notice = MessageFilter::new().msgtype("m.notice").reply_to(&first);
    let notice = late.person.wait_for_message(&room, notice, DEFAULT_TIMEOUT)?;
    assert!(notice.encrypted);
    assert!(notice.body.unwrap_or_default().contains("key"));
    for id in ["one", "two", "three"] {
        launcher.wait_until("two wait", |launcher| {
            Ok(launcher.agent_status(id)?["undecryptable_pending"] == 2)
        })?;
    }
    late.release(held, bed.homeserver())?;
    for event in [&first, &second] {
        late.person.wait_for_replies(&room, event, 3, DEFAULT_TIMEOUT)?;
    }
    for (id, agent) in ["one", "two", "three"].iter().zip(&agents) {
        assert_eq!(launcher.events("decrypted_late", id)?.len(), 2);
        assert_eq!(launcher.agent_status(id)?["undecryptable_pending"], 0);
        // The notice is a reply, too.
        let asked = [second.clone()];
        stage.answered_once(bed.homeserver(), &late.person, &room, agent, &asked)?;
    }
    assert_eq!(notices(&late.person, &room)?.len(), 1);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

/// Takes half a minute: that is how long an agent waits before it complains.
fn default_settings(bed: &Bed) -> Outcome {
    late_by(bed, Duration::from_secs(30))
}

fn late_by(bed: &Bed, late_by: Duration) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let late = Late::new(bed, "late")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = late.person.create_room(RoomOptions::encrypted().invite(&agent))?;
    late.person.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&late.person, &room, "steady", &agent)?;
    late.person.discard_session(&room)?;
    let held = late.hold();
    let asked = stage.say(&late.person, &room, "late")?;
    let seen = launcher.wait_for_event("undecryptable", "echo")?;
    assert_eq!(seen["event_id"], asked.as_str());
    let notice = MessageFilter::new().msgtype("m.notice");
    let notice = late.person.wait_for_message(&room, notice, DEFAULT_TIMEOUT * 2)?;
    let sent = late.person.wait_for_message(
        &room,
        MessageFilter::new().event_id(&asked),
        DEFAULT_TIMEOUT,
    )?;
    let after = Duration::from_millis(notice.timestamp - sent.timestamp);
    assert!(after >= Duration::from_secs(29), "it complained after {after:?}");
    std::thread::sleep(late_by.saturating_sub(after));
    late.release(held, bed.homeserver())?;
    late.person.wait_for_replies(&room, &asked, 2, DEFAULT_TIMEOUT)?;
    ask(&late.person, &room, "healed", &agent)?;
    assert_eq!(notices(&late.person, &room)?.len(), 1);
    let replies = late.person.wait_for_replies(&room, &asked, 2, DEFAULT_TIMEOUT)?;
    assert_eq!(replies.len(), 2, "one notice and one answer");
    stage.check()
}

fn while_down(bed: &Bed) -> Outcome {
    restarted(bed, true)
}

fn after_kill(bed: &Bed) -> Outcome {
    restarted(bed, false)
}

/// The key comes while the launcher is down, or after it is up again.
fn restarted(bed: &Bed, down: bool) -> Outcome {
    let stage = Tapped::new(bed)?;
    let more = "undecryptable: { notice_after: 1s }\n";
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", more)?;
    let late = Late::new(bed, "late")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = late.person.create_room(RoomOptions::encrypted().invite(&agent))?;
    late.person.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&late.person, &room, "steady", &agent)?;
    late.person.discard_session(&room)?;
    let held = late.hold();
    let asked = stage.say(&late.person, &room, "late")?;
    let notice = MessageFilter::new().msgtype("m.notice").reply_to(&asked);
    late.person.wait_for_message(&room, notice, DEFAULT_TIMEOUT)?;
    if down {
        assert!(launcher.stop()?.0.success());
        late.release(held, bed.homeserver())?;
        launcher = stage.start_ready("echo")?;
    } else {
        launcher.signal(Signal::KILL)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        launcher = stage.start_ready("echo")?;
        assert_eq!(launcher.agent_status("echo")?["undecryptable_pending"], 1);
        late.release(held, bed.homeserver())?;
    }
    late.person.wait_for_replies(&room, &asked, 2, DEFAULT_TIMEOUT)?;
    ask(&late.person, &room, "healed", &agent)?;
    let replies = late.person.wait_for_replies(&room, &asked, 2, DEFAULT_TIMEOUT)?;
    let answers = replies.iter().filter(|reply| reply.msgtype.as_deref() == Some("m.text"));
    assert_eq!((replies.len(), answers.count()), (2, 1));
    launcher.wait_for_event("decrypted_late", "echo")?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn withheld(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let more = "undecryptable: { notice_after: 1s }\n";
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", more)?;
    let careful =
        LoginOptions { unverified_devices: UnverifiedDevices::Exclude, ..LoginOptions::default() };
    let alice = bed.person_with("careful", careful)?;
    let mut launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    let first = stage.say(&alice, &room, "for nobody unverified")?;
    let found = launcher.wait_for_event("key_withheld", "echo")?;
    assert_eq!((&found["code"], &found["event_id"]), (&"m.unverified".into(), &first.into()));
    let notice = MessageFilter::new().msgtype("m.notice");
    let notice = alice.wait_for_message(&room, notice, DEFAULT_TIMEOUT)?;
    assert!(notice.body.unwrap_or_default().contains("Verify me"));
    let second = stage.say(&alice, &room, "once more")?;
    launcher.wait_until("both wait", |launcher| {
        Ok(launcher.agent_status("echo")?["undecryptable_pending"] == 2)
    })?;
    // Another room shows that time has passed for the second one as well.
    let other = bed.person("other")?;
    let other_room = other.create_room(RoomOptions::encrypted().invite(&agent))?;
    other.wait_for_member(&other_room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&other, &other_room, "still there?", &agent)?;
    assert_eq!(notices(&alice, &room)?.len(), 1, "{second}");
    stage.check()
}
