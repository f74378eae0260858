//! What operators and scripts have an agent send.

use std::{
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, Encryption, JsUser, Message, MessageFilter, RoomOptions,
    tap::{Action, Gate, Matcher, Point},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::Place,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("sending_out::text_notice_thread_alias_and_direct_chat_arrive_and_can_be_read", kinds),
    ("sending_out::an_encrypted_file_is_what_was_sent_and_nothing_of_it_is_in_the_clear", files),
    ("sending_out::a_key_sends_one_message_over_kills_before_and_after_the_server_has_it", once),
    ("sending_out::a_key_sends_one_message_although_the_agent_became_a_new_device", new_device),
    ("sending_out::a_send_that_hangs_does_not_keep_its_agent", hung),
    ("sending_out::a_file_for_a_room_that_becomes_encrypted_meanwhile_is_encrypted", becomes),
    ("sending_out::answers_and_messages_of_operators_take_turns", in_turn),
    ("sending_out::what_cannot_be_sent_says_why", refused),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends, and returns what the command says as JSON.
fn send(place: &Place, arguments: &[&str], text: &str) -> Result<Value> {
    let arguments: Vec<&str> =
        ["send"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    let output = place.command_with_input(&arguments, text)?;
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout)?),
        code => Err(format!("{arguments:?} ended with {code:?}: {}", said(&output)).into()),
    }
}

fn seen(user: &JsUser, sent: &Value) -> Result<Message> {
    let (event, room) = (sent["event_id"].as_str(), sent["room_id"].as_str());
    let wanted = MessageFilter::new().event_id(event.ok_or("no event")?);
    Ok(user.wait_for_message(room.ok_or("no room")?, wanted, DEFAULT_TIMEOUT)?)
}

fn kinds(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let launcher = place.start_ready(&["echo"])?;
    let (alice, bob) = (bed.person("alice")?, bed.person("bob")?);
    let direct = room_with(&alice, &agent)?;
    let group = room_with(&bob, &agent)?;
    bob.invite(&group, alice.user_id())?;
    alice.join(&group)?;
    bob.wait_for_member(&group, alice.user_id(), "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &direct, "are you there?", &agent)?;

    let sent = send(&place, &["echo", &direct], "Backup **done**\nin 5 min")?;
    assert_eq!((&sent["room_id"], &sent["sent_before"]), (&json!(direct), &json!(false)));
    let message = seen(&alice, &sent)?;
    assert!(message.encrypted && message.sender == agent);
    assert_eq!(message.msgtype.as_deref(), Some("m.text"));
    assert_eq!(message.body.as_deref(), Some("Backup **done**\nin 5 min"));
    let html = &message.content["formatted_body"];
    assert_eq!(html, "Backup <strong>done</strong><br />\nin 5 min");

    let plain = seen(&alice, &send(&place, &["echo", &direct, "--notice"], "2 < 3 & more")?)?;
    assert_eq!(plain.msgtype.as_deref(), Some("m.notice"));
    assert_eq!(plain.content.get("formatted_body"), None);

    let root = message.event_id.as_str();
    let threaded = seen(&alice, &send(&place, &["echo", &direct, "--thread", root], "and so on")?)?;
    assert_eq!(threaded.thread_root(), Some(root));

    // To a user: the room in which they are alone with the agent, not the group.
    let to_user = send(&place, &["echo", alice.user_id()], "psst")?;
    assert_eq!(to_user["room_id"], direct);
    assert_eq!(seen(&alice, &to_user)?.body.as_deref(), Some("psst"));

    let name = group.trim_start_matches('!').split(':').next().unwrap_or_default().to_lowercase();
    let server = agent.split_once(':').map(|(_, server)| server).unwrap_or_default();
    let alias = format!("#{name}:{server}");
    let path = format!("/_matrix/client/v3/directory/room/%23{name}:{server}");
    let token = Some(bob.account().access_token.as_str());
    let (status, answer) =
        bed.homeserver().request("PUT", &path, token, Some(&json!({ "room_id": group })))?;
    assert_eq!(status, 200, "{answer}");
    let to_alias = send(&place, &["echo", &alias], "to all")?;
    assert_eq!(to_alias["room_id"], group);
    for user in [&alice, &bob] {
        assert_eq!(seen(user, &to_alias)?.body.as_deref(), Some("to all"));
    }
    let log = launcher.log_text()?;
    assert!(!log.contains("psst") && log.contains("send_message"), "{log}");
    Ok(())
}

fn files(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let plain = alice.create_room(RoomOptions::plain().invite(&agent))?;
    alice.wait_for_member(&plain, &agent, "join", DEFAULT_TIMEOUT)?;
    let bytes: Vec<u8> =
        (0..200_000_u32).map(|number| (number % 253 * (number % 241) % 256) as u8).collect();
    std::fs::write(place.path().join("chart ä.png"), &bytes)?;

    let sent = send(&place, &["echo", &room, "--file", "chart ä.png", "--caption"], "*this* week")?;
    let message = seen(&alice, &sent)?;
    assert!(message.encrypted);
    assert_eq!(message.msgtype.as_deref(), Some("m.image"));
    assert_eq!(message.content["filename"], "chart ä.png");
    assert_eq!(message.body.as_deref(), Some("*this* week"));
    assert_eq!(message.content["info"]["mimetype"], "image/png");
    assert_eq!(message.content["info"]["size"], bytes.len());
    let file = alice.download(&message)?;
    assert!(file.bytes == bytes, "the file is another one");
    assert!(file.stored != bytes, "the homeserver has it in the clear");

    let sent = send(&place, &["echo", &plain, "--file", "chart ä.png"], "is not read")?;
    let message = seen(&alice, &sent)?;
    assert_eq!((message.encrypted, message.body.as_deref()), (false, Some("chart ä.png")));
    assert!(alice.download(&message)?.bytes == bytes);
    Ok(())
}

fn is_send(room: &str) -> Matcher {
    let room = room.replace('!', "%21").replace(':', "%3A");
    let bare = room.trim_start_matches("%21").split("%3A").next().unwrap_or_default().to_owned();
    Matcher::path_contains("/send/m.room.encrypted/")
        .method("PUT")
        .and(move |request| request.path.contains(&bare))
}

/// The agent's messages in a room, as the homeserver has them.
fn count(bed: &Bed, user: &JsUser, room: &str, agent: &str) -> Result<usize> {
    let events = bed.homeserver().room_events(&user.account().access_token, room)?;
    let is_message =
        |event: &&Value| event["sender"] == agent && event["type"] == "m.room.encrypted";
    Ok(events.iter().filter(is_message).count())
}

fn once(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    for (round, point) in [Point::BeforeForwarding, Point::AfterResponse].into_iter().enumerate() {
        let before = count(bed, &alice, &room, &agent)?;
        let (key, text) = (format!("report-{round}"), format!("the report of round {round}"));
        let arguments = ["echo", &room, "--key", &key];
        let kill = stage.tap.add_rule(is_send(&room).times(1), stage.kill(point, Duration::ZERO));
        assert!(send(&stage.place, &arguments, &text).is_err(), "the launcher is dead");
        kill.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        kill.remove();
        launcher = stage.start_ready("echo")?;
        let sent = send(&stage.place, &arguments, &text)?;
        assert_eq!(seen(&alice, &sent)?.body, Some(text.clone()));
        let again = send(&stage.place, &arguments, &text)?;
        assert_eq!((&again["event_id"], &again["sent_before"]), (&sent["event_id"], &json!(true)));
        assert_eq!(count(bed, &alice, &room, &agent)?, before + 1, "{point:?}");
        let other = send(&stage.place, &arguments, "another report").unwrap_err().to_string();
        assert!(other.contains("something else was sent under this key"), "{other}");
    }
    // It is no copy of itself: the life goes on as the same device.
    ask(&alice, &room, "still you?", &agent)?;
    assert_eq!(alice.user_devices(&agent)?.len(), 1);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn new_device(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "hello", &agent)?;
    let before = count(bed, &alice, &room, &agent)?;
    let arguments = ["echo", &room, "--key", "k"];
    let kill = stage.kill(Point::AfterResponse, Duration::ZERO);
    let kill = stage.tap.add_rule(is_send(&room).times(1), kill);
    assert!(send(&stage.place, &arguments, "only once").is_err(), "the launcher is dead");
    kill.wait_for_hits(1, DEFAULT_TIMEOUT)?;
    launcher.wait_for_end(DEFAULT_TIMEOUT)?;
    kill.remove();
    let launcher = stage.start_ready("echo")?;
    let reset = stage.place.command(&["reset", "echo", "--yes"])?;
    assert!(reset.status.success(), "{}", said(&reset));
    let sent = send(&stage.place, &arguments, "only once")?;
    assert_eq!(sent["sent_before"], true);
    assert_eq!(seen(&alice, &sent)?.body.as_deref(), Some("only once"));
    assert_eq!(count(bed, &alice, &room, &agent)?, before + 1);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn hung(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "hello", &agent)?;
    let before = count(bed, &alice, &room, &agent)?;
    let gate = Gate::new();
    let hold = stage.tap.add_rule(is_send(&room).times(1), Action::HoldBefore(gate.clone()));
    let arguments = ["echo", &room, "--key", "k"];
    std::thread::scope(|scope| -> Outcome {
        let sender = scope.spawn(|| {
            send(&stage.place, &arguments, "only once").map_err(|error| error.to_string())
        });
        hold.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        // Another file is another agent, which is started anew.
        let file = stage.place.path().join("agents/echo/config.yaml");
        let config = std::fs::read_to_string(&file)?;
        std::fs::write(&file, config + "catch_up: { max_age: 2d }\n")?;
        launcher.signal(Signal::HUP)?;
        let error = sender.join().map_err(|_| "the sender panicked")?.unwrap_err();
        assert!(error.contains("was stopped before it was done"), "{error}");
        Ok(())
    })?;
    launcher.wait_until("the agent runs again", |launcher| {
        Ok(launcher.events("agent_ready", "echo")?.len() == 2)
    })?;
    let sent = send(&stage.place, &arguments, "only once")?;
    gate.open();
    assert_eq!(seen(&alice, &sent)?.body.as_deref(), Some("only once"));
    ask(&alice, &room, "still you?", &agent)?;
    assert_eq!(count(bed, &alice, &room, &agent)?, before + 2);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn becomes(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::plain().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    std::fs::write(stage.place.path().join("plan.txt"), "attack at dawn")?;
    let gate = Gate::new();
    let uploaded = Matcher::path_contains("/media/v3/upload").times(1);
    let hold = stage.tap.add_rule(uploaded, Action::HoldAfter(gate.clone()));
    let sent = std::thread::scope(|scope| -> Result<Value> {
        let sender = scope.spawn(|| {
            let sent = send(&stage.place, &["echo", &room, "--file", "plan.txt"], "");
            sent.map_err(|error| error.to_string())
        });
        hold.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        alice.enable_encryption(&room, &Encryption::default())?;
        launcher.wait_until("the agent knows that the room is encrypted", |_| {
            let rooms = stage.place.command(&["invites", "echo", "rooms", "--json"])?;
            let rooms: Value = serde_json::from_slice(&rooms.stdout)?;
            Ok(rooms["rooms"][0]["encrypted"] == true)
        })?;
        gate.open();
        Ok(sender.join().map_err(|_| "the sender panicked")??)
    })?;
    let message = seen(&alice, &sent)?;
    assert!(message.encrypted && message.content.get("url").is_none(), "{message:?}");
    let file = alice.download(&message)?;
    assert!(file.bytes == b"attack at dawn" && file.stored != file.bytes);
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn in_turn(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let launcher = stage.start_ready("echo")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    // How many are on their way at once, each of them for a while.
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begun, highest, ended) = (now.clone(), most.clone(), now);
    let begin = Action::hook(Point::BeforeForwarding, move |_| {
        highest.fetch_max(begun.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    });
    let end = Action::hook(Point::AfterResponse, move |_| {
        ended.fetch_sub(1, Ordering::SeqCst);
    });
    let slow = Action::Delay(Duration::from_millis(200));
    let _rules = [begin, slow, end].map(|action| stage.tap.add_rule(is_send(&room), action));
    let asked = std::thread::scope(|scope| -> Result<String> {
        let place = &stage.place;
        let room = &room;
        let senders: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    send(place, &["echo", room], &format!("number {number}"))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        let asked = alice.send_text(room, "and you?")?;
        for sender in senders {
            let sent = sender.join().map_err(|_| "a sender panicked")??;
            seen(&alice, &sent)?;
        }
        Ok(asked)
    })?;
    alice.wait_for_replies(&room, &asked, 1, DEFAULT_TIMEOUT)?;
    assert_eq!(count(bed, &alice, &room, &agent)?, 5);
    assert_eq!(most.load(Ordering::SeqCst), 1, "so many at once");
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn refused(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    let locked_out = bed.homeserver().register_without_login(&bed.name("shut"), PASSWORD)?;
    place.agent_for("shut", &locked_out, "password: \"not this one\"", "")?;
    let output = place.command_with_input(&["send", "echo", "!r:x"], "hi")?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("do: start one with `launcher run`"), "{}", said(&output));
    let mut launcher = place.start_ready(&["echo"])?;
    launcher.wait_for_state("shut", "parked")?;
    let alice = bed.person("alice")?;
    for (arguments, text, status, part) in [
        (["shut", "!r:x"], "hi", 1, "login_refused"),
        (["other", "!r:x"], "hi", 1, "there is no agent `other` that this launcher runs"),
        (["echo", "!unknown:x"], "hi", 1, "echo is not in the room !unknown:x"),
        (["echo", "#unknown:localhost"], "hi", 1, "knows no room #unknown:localhost"),
        (["echo", alice.user_id()], "hi", 1, "do: run `launcher invites echo dm @"),
        (["echo", "!r:x"], "", 2, "nothing on standard input"),
        (["echo", "!r:x"], &"x".repeat(70_000), 2, "more than 65536 bytes"),
    ] {
        let output = place.command_with_input(&["send", arguments[0], arguments[1]], text)?;
        let error = said(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    let nowhere = place.command(&["send", "echo", "nowhere"])?;
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(said(&nowhere).contains("not a room id"), "{}", said(&nowhere));
    // What is too long once it is HTML is not even tried.
    let room = room_with(&alice, launcher.agent_status("echo")?["user_id"].as_str().unwrap_or(""))?;
    let long = "*x* ".repeat(6_000);
    let error = send(&place, &["echo", &room], &long).unwrap_err().to_string();
    assert!(error.contains("send it as a file"), "{error}");
    let actions = launcher.events("operator_action", "echo")?;
    assert!(actions.iter().all(|line| line["action"] == "send_message"), "{actions:?}");
    Ok(())
}
