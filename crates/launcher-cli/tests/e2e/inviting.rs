//! Invitations that wait for an operator, rooms and direct chats that they make.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Output, Stdio},
    time::Duration,
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, RoomOptions,
    tap::{Matcher, Point, Request},
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::Bed,
    kills::is_sync_of_sdk,
    launcher::{Place, Running},
    rooms::{ask, room_with},
    tapped::Tapped,
    terminal,
};

pub(crate) const CASES: Cases = &[
    ("inviting::what_the_policy_refuses_waits_and_is_answered_by_an_operator", policy),
    ("inviting::an_invitation_survives_a_kill_and_a_new_device_with_its_age", kept),
    ("inviting::a_direct_chat_is_read_at_first_sight_and_made_once", direct),
    ("inviting::who_has_no_device_yet_is_greeted_when_they_join", later),
    ("inviting::who_joins_without_a_device_is_greeted_when_they_have_one", much_later),
    ("inviting::a_direct_chat_is_made_once_although_the_launcher_is_killed_over_it", killed),
    ("inviting::somebody_who_may_not_have_keys_is_named_and_greeted_after_approval", careful),
    ("inviting::a_room_is_made_and_everybody_in_it_is_answered", room),
    ("inviting::a_room_that_is_not_to_be_left_stays", stays),
    ("inviting::a_session_at_the_prompt_completes_answers_and_remembers", prompt),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs `launcher invites` with `--json`; returns what it printed.
fn invites(place: &Place, arguments: &[&str]) -> Result<Value> {
    let output = run(place, arguments)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn run(place: &Place, arguments: &[&str]) -> Result<Output> {
    let all: Vec<&str> = ["invites"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    place.command(&all)
}

/// The invitations that wait for the only agent.
fn waiting(place: &Place) -> Result<Vec<Value>> {
    let listed = invites(place, &[])?;
    Ok(listed["agents"][0]["invites"].as_array().cloned().unwrap_or_default())
}

/// Waits until so many invitations wait.
fn wait_for(launcher: &mut Running<'_>, place: &Place, count: usize) -> Result<Vec<Value>> {
    let what = format!("{count} invitations wait");
    launcher.wait_until(&what, |_| Ok(waiting(place)?.len() == count))?;
    waiting(place)
}

fn find<'a>(invites: &'a [Value], room: &str) -> &'a Value {
    invites.iter().find(|invite| invite["room_id"] == room).unwrap_or(&Value::Null)
}

fn joined_rooms(bed: &Bed, token: &str) -> Result<Vec<Value>> {
    let path = "/_matrix/client/v3/joined_rooms";
    let (_, rooms) = bed.homeserver().request("GET", path, Some(token), None)?;
    Ok(rooms["joined_rooms"].as_array().cloned().unwrap_or_default())
}

/// An agent with a token of the test's own, and these keys in its file.
fn agent(bed: &Bed, place: &Place, more: &str) -> Result<(String, String)> {
    let account = bed.account("echo")?;
    let secret = format!("password: \"{}\"", crate::bed::PASSWORD);
    place.agent_for("echo", &account.user_id, &secret, more)?;
    Ok((account.user_id, account.access_token))
}

fn policy(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (friend, stranger) = (bed.person("friend")?, bed.person("stranger")?);
    let (bob, carol) = (bed.person("bob")?, bed.person("carol")?);
    let more = format!(
        "invites: {{ from: [\"{}\"], max_members: 3, require_encryption: true }}\n",
        friend.user_id()
    );
    let (agent, _) = agent(bed, &place, &more)?;
    let mut launcher = place.start_ready(&["echo"])?;
    let strange = stranger.create_room(RoomOptions::encrypted().name("Prizes").invite(&agent))?;
    let plain = friend.create_room(RoomOptions::plain().invite(&agent))?;
    let invited = RoomOptions::encrypted().invite(bob.user_id()).invite(carol.user_id());
    let large = friend.create_room(invited)?;
    for person in [&bob, &carol] {
        person.join(&large)?;
        friend.wait_for_member(&large, person.user_id(), "join", DEFAULT_TIMEOUT)?;
    }
    friend.invite(&large, &agent)?;
    let listed = wait_for(&mut launcher, &place, 3)?;
    for (room, inviter, code, encrypted) in [
        (&strange, &stranger, "not_from", true),
        (&plain, &friend, "not_encrypted", false),
        (&large, &friend, "too_many_members", true),
    ] {
        let invite = find(&listed, room);
        assert_eq!(invite["code"], code, "{invite}");
        assert_eq!(invite["inviter"], inviter.user_id());
        assert_eq!(invite["encrypted"], encrypted);
    }
    assert_eq!(find(&listed, &strange)["name"], "Prizes");
    assert_eq!(find(&listed, &large)["joined_members"], 3);
    assert_eq!(launcher.events("invite_refused", "echo")?.len(), 3);
    // What fits the policy is joined as always.
    let good = room_with(&friend, &agent)?;
    ask(&friend, &good, "hello", &agent)?;

    invites(&place, &["echo", "accept", &strange])?;
    stranger.wait_for_member(&strange, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&stranger, &strange, "won anything?", &agent)?;
    invites(&place, &["echo", "reject", &plain])?;
    friend.wait_for_member(&plain, &agent, "leave", DEFAULT_TIMEOUT)?;
    let listed = wait_for(&mut launcher, &place, 1)?;
    assert_eq!(listed[0]["room_id"], large.as_str());
    let rooms = invites(&place, &["echo", "rooms"])?;
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(2), "{rooms}");
    invites(&place, &["echo", "leave", &strange])?;
    stranger.wait_for_member(&strange, &agent, "leave", DEFAULT_TIMEOUT)?;

    let refused = run(&place, &["echo", "accept", &plain])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not invited to"));
    for action in ["invite_accept", "invite_reject", "room_leave"] {
        let logged = launcher.events("operator_action", "echo")?;
        assert!(logged.iter().any(|line| line["action"] == action), "{action}: {logged:?}");
    }
    Ok(())
}

fn brings_invitation(response: &Value) -> bool {
    response["rooms"]["invite"].as_object().is_some_and(|rooms| !rooms.is_empty())
}

fn kept(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let nobody = "invites: { from: [] }\n";
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", nobody)?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    // The server has given it to the SDK, and nobody else has seen it.
    let brought = Matcher::when(is_sync_of_sdk).response(brings_invitation).times(1);
    let rule = stage.tap.add_rule(brought, stage.kill(Point::AfterDelivery, Duration::ZERO));
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
    launcher.wait_for_end(DEFAULT_TIMEOUT)?;
    let mut launcher = stage.start_ready("echo")?;
    let first = wait_for(&mut launcher, &stage.place, 1)?.remove(0);
    assert_eq!((&first["room_id"], &first["code"]), (&json!(room), &json!("not_from")));
    assert_eq!(launcher.events("invite_refused", "echo")?.len(), 1);
    assert!(launcher.stop()?.0.success());

    let mut launcher = stage.start_ready("echo")?;
    assert_eq!(wait_for(&mut launcher, &stage.place, 1)?[0], first);
    assert_eq!(launcher.events("invite_refused", "echo")?.len(), 0, "it was logged before");
    let reset = stage.place.command(&["reset", "echo", "--yes"])?;
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    assert_eq!(wait_for(&mut launcher, &stage.place, 1)?, [first]);
    invites(&stage.place, &["echo", "accept", &room])?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "are you there?", &agent)?;
    stage.check()
}

/// Waits for a greeting, which was readable when it was first seen.
fn wait_for_greeting(user: &JsUser, room: &str, agent: &str, text: &str) -> Outcome {
    let wanted = MessageFilter::new().sender(agent).body_contains(text);
    let greeting = user.wait_for_message(room, wanted, DEFAULT_TIMEOUT)?;
    assert!(greeting.encrypted && !greeting.ever_failed, "{greeting:?}");
    let seen = user.messages(room)?;
    let of_agent: Vec<_> = seen.iter().filter(|message| message.sender == agent).collect();
    assert_eq!(of_agent.len(), 1, "{of_agent:?}");
    Ok(())
}

fn direct(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (agent, token) = agent(bed, &place, "")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let dm = |more: &[&str]| {
        let all: Vec<&str> = ["echo", "dm", alice.user_id()].iter().chain(more).copied().collect();
        run(&place, &all)
    };
    let begun = dm(&["--wait", "0s", "--greeting", "Good morning."])?;
    assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
    let begun: Value = serde_json::from_slice(&begun.stdout)?;
    assert_eq!((&begun["membership"], &begun["made"]), (&json!("invited"), &json!(true)));
    assert_eq!(begun["readers"], json!([alice.device_id()]));
    let room = begun["room_id"].as_str().unwrap_or_default().to_owned();

    let early = dm(&["--wait", "1s"])?;
    assert_eq!(early.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&early.stderr).contains("has not joined within 1 s"));

    // The command goes on until the user can read it, and says so.
    let mut following = place
        .prepare(&["invites", "echo", "dm", alice.user_id()], &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut told = BufReader::new(following.stderr.take().ok_or("no standard error")?).lines();
    let invited = format!("{} is invited", alice.user_id());
    assert!(told.by_ref().map_while(std::result::Result::ok).any(|line| line == invited));
    alice.wait_for_member(&room, alice.user_id(), "invite", DEFAULT_TIMEOUT)?;
    alice.join(&room)?;
    wait_for_greeting(&alice, &room, &agent, "Good morning.")?;
    let joined = told.collect::<std::io::Result<Vec<String>>>()?;
    let followed = following.wait_with_output()?;
    assert_eq!(followed.status.code(), Some(0), "{joined:?}");
    assert!(joined.contains(&format!("{} has joined", alice.user_id())), "{joined:?}");
    let end = format!("{} can read it now, on {}\n", alice.user_id(), alice.device_id());
    assert_eq!(String::from_utf8(followed.stdout)?, end);
    ask(&alice, &room, "good morning", &agent)?;

    let again = dm(&[])?;
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let again: Value = serde_json::from_slice(&again.stdout)?;
    assert_eq!((&again["room_id"], &again["made"]), (&json!(room), &json!(false)));
    assert_eq!(again["said"], 1);
    assert_eq!(joined_rooms(bed, &token)?, [json!(room)]);
    let (_, marked) = bed.homeserver().request(
        "GET",
        &format!("/_matrix/client/v3/user/{agent}/account_data/m.direct"),
        Some(&token),
        None,
    )?;
    assert_eq!(marked[alice.user_id()], json!([room]));
    launcher.wait_until("the action is logged", |launcher| {
        let logged = launcher.events("operator_action", "echo")?;
        Ok(logged.iter().any(|line| line["action"] == "direct_open" && line["room"] == room))
    })?;
    assert!(!launcher.log_text()?.contains("Good morning."));
    Ok(())
}

fn later(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (agent, _) = agent(bed, &place, "")?;
    let _launcher = place.start_ready(&["echo"])?;
    let bob = bed.homeserver().register_without_login(&bed.name("bob"), crate::bed::PASSWORD)?;
    let begun = invites(&place, &["echo", "dm", &bob, "--wait", "0s"])?;
    assert_eq!((&begun["devices"], &begun["said"]), (&json!([]), &json!(0)));
    let room = begun["room_id"].as_str().unwrap_or_default().to_owned();
    let bob = bed.device_of(&bob, LoginOptions::default())?;
    bob.wait_for_member(&room, bob.user_id(), "invite", DEFAULT_TIMEOUT)?;
    bob.join(&room)?;
    wait_for_greeting(&bob, &room, &agent, "Write me here.")?;
    ask(&bob, &room, "hello", &agent)?;
    let done = invites(&place, &["echo", "dm", bob.user_id()])?;
    assert_eq!((&done["readers"], &done["said"]), (&json!([bob.device_id()]), &json!(1)));
    Ok(())
}

fn much_later(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (agent, _) = agent(bed, &place, "")?;
    let mut launcher = place.start_ready(&["echo"])?;
    // A login without keys, as of a program that knows nothing of encryption.
    let name = bed.name("bob");
    let bob = bed.homeserver().register_without_login(&name, crate::bed::PASSWORD)?;
    let token = bed.homeserver().login(&bob, crate::bed::PASSWORD)?.access_token;
    let begun = invites(&place, &["echo", "dm", &bob, "--wait", "0s"])?;
    let room = begun["room_id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/_matrix/client/v3/join/{room}");
    let (status, answer) =
        bed.homeserver().request("POST", &path, Some(&token), Some(&json!({})))?;
    assert_eq!(status, 200, "{answer}");
    launcher.wait_until("the agent sees that they have joined", |_| {
        Ok(invites(&place, &["echo", "dm", &bob, "--wait", "0s"])?["membership"] == "joined")
    })?;
    let bob = bed.device_of(&bob, LoginOptions::default())?;
    wait_for_greeting(&bob, &room, &agent, "Write me here.")?;
    ask(&bob, &room, "hello", &agent)?;
    Ok(())
}

/// Killed before the launcher hears that the room is made, that the user is
/// invited, and that the greeting is said.
fn killed(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let token = bed.homeserver().login(&agent, crate::bed::PASSWORD)?.access_token;
    let alice = bed.person("alice")?;
    let dm = |wait: &str| run(&stage.place, &["echo", "dm", alice.user_id(), "--wait", wait]);
    let put = |request: &Request| request.method == "PUT";
    let rules = [
        Matcher::path_contains("/createRoom"),
        Matcher::path_contains("/state/m.room.member/"),
        Matcher::path_contains("/send/m.room.encrypted/").and(put),
    ]
    .map(|moment| {
        let kill = stage.kill(Point::AfterResponse, Duration::ZERO);
        stage.tap.add_rule(moment.times(1), kill)
    });
    let mut launcher = stage.start_ready("echo")?;
    for rule in rules {
        // The greeting may be said by the agent itself, as soon as it is up again.
        dm("0s")?;
        rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        launcher = stage.start_ready("echo")?;
    }
    let done = dm("0s")?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done: Value = serde_json::from_slice(&done.stdout)?;
    let room = done["room_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(joined_rooms(bed, &token)?, [json!(room)]);
    alice.wait_for_member(&room, alice.user_id(), "invite", DEFAULT_TIMEOUT)?;
    alice.join(&room)?;
    wait_for_greeting(&alice, &room, &agent, "Write me here.")?;
    ask(&alice, &room, "hello", &agent)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn careful(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let user = bed.homeserver().register_without_login(&bed.name("echo"), crate::bed::PASSWORD)?;
    let secret = format!("password: \"{}\"", crate::bed::PASSWORD);
    let config = crate::launcher::agent_config("echo", &user, &secret, "")
        .replace("encryption:\n", "encryption:\n  trust_mode: manual\n");
    place.set_variable(&crate::launcher::variable("echo"), &crate::launcher::pickle_key("echo"))?;
    place.write_agent("echo", &config)?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let begun = invites(&place, &["echo", "dm", alice.user_id(), "--wait", "0s"])?;
    assert_eq!(begun["said"], 0);
    assert_eq!(begun["refused"][0]["verdict"], "awaiting_approval", "{begun}");
    let room = begun["room_id"].as_str().unwrap_or_default().to_owned();
    alice.wait_for_member(&room, alice.user_id(), "invite", DEFAULT_TIMEOUT)?;
    alice.join(&room)?;
    let refused = run(&place, &["echo", "dm", alice.user_id(), "--wait", "1s"])?;
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("may not have the agent's keys"), "{said}");
    let approved = place.command(&["trust", "echo", "approve", alice.user_id()])?;
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    wait_for_greeting(&alice, &room, &user, "Write me here.")?;
    ask(&alice, &room, "hello", &user)?;
    Ok(())
}

fn room(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let (alice, bob) = (bed.person("alice")?, bed.person("bob")?);
    let invited = ["--invite", alice.user_id(), "--invite", bob.user_id()];
    let named: Vec<&str> =
        ["echo", "room", "War room", "--topic", "Now"].iter().chain(&invited).copied().collect();
    let made = invites(&place, &named)?;
    assert_eq!(made["invited"], json!([alice.user_id(), bob.user_id()]));
    let room = made["room_id"].as_str().unwrap_or_default().to_owned();
    for person in [&alice, &bob] {
        person.wait_for_member(&room, person.user_id(), "invite", DEFAULT_TIMEOUT)?;
        person.join(&room)?;
    }
    alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    for person in [&alice, &bob] {
        assert!(ask(person, &room, "who is there?", &agent)?.encrypted);
    }
    let rooms = invites(&place, &["echo", "rooms"])?;
    assert_eq!(rooms["rooms"][0]["name"], "War room", "{rooms}");
    assert_eq!(rooms["rooms"][0]["encrypted"], true, "{rooms}");
    Ok(())
}

fn stays(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (agent, token) = agent(bed, &place, "invites: { auto_leave_empty: false }\n")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    alice.leave(&room)?;
    launcher.wait_until("the agent is alone", |_| {
        let rooms = invites(&place, &["echo", "rooms"])?;
        Ok(rooms["rooms"][0]["joined_members"] == 1)
    })?;
    // Whatever follows from that is done before something later is answered.
    let other = room_with(&alice, &agent)?;
    ask(&alice, &other, "still there?", &agent)?;
    let joined = joined_rooms(bed, &token)?;
    assert!(joined.contains(&json!(room)), "{joined:?}");
    Ok(())
}

fn prompt(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (agent, _) = agent(bed, &place, "invites: { from: [] }\n")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    wait_for(&mut launcher, &place, 1)?;
    let shown = terminal::typed(
        &place,
        &["invites", "prompt"],
        &[
            ("invites> ", "list\r"),
            ("invites.from does not name", ""),
            ("invites> ", "echo acc\t"),
            ("echo accept", " !\t"),
            (&format!("echo accept {room}"), "\r"),
            ("echo has joined", ""),
            ("invites> ", "echo nonsense\r"),
            ("nonsense", ""),
            ("invites> ", "echo dm @nobody --greeting 'a secret'\r"),
            ("not a user id", ""),
            ("invites> ", "\u{1b}[A\u{1b}[A\r"),
            ("no invitations wait", ""),
            ("invites> ", "\u{4}"),
        ],
    );
    // A session in which something failed says so when it ends.
    let shown = shown.err().ok_or("the prompt forgot that an order failed")?.to_string();
    assert!(shown.starts_with("exit status: 1"), "{shown}");
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "hello", &agent)?;
    let history = place.path().join(".launcher/invites.history");
    let mode = std::fs::metadata(&history)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let history = std::fs::read_to_string(&history)?;
    assert!(history.contains(&format!("echo accept {room}")), "{history}");
    assert!(!history.contains("a secret"), "{history}");
    prompt_again(bed, &place, &mut launcher, &agent, &alice, &room)
}

/// A later session, about one agent, in which `room` is left.
fn prompt_again(
    bed: &Bed,
    place: &Place,
    launcher: &mut Running<'_>,
    agent: &str,
    alice: &JsUser,
    room: &str,
) -> Outcome {
    let (bob, absent) = (bed.person("bob")?, bed.person("absent")?);
    let unwanted = alice.create_room(RoomOptions::encrypted().invite(agent))?;
    wait_for(launcher, place, 1)?;
    let told = terminal::typed(
        place,
        &["invites", "echo", "prompt"],
        &[
            // What the first session remembered: its last order, and the one before.
            ("echo> ", "\u{1b}[A"),
            ("list", "\u{1b}[A"),
            (&format!("echo accept {room}"), "\u{15}reje\t"),
            ("reject", " !\t"),
            (&format!("reject {unwanted}"), "\r"),
            ("echo has rejected the invitation to", ""),
            ("echo> ", "leave !\t"),
            (&format!("leave {room}"), "\r"),
            ("echo has left", ""),
            ("echo> ", "rooms\r"),
            ("the agent is in no room", ""),
            ("echo> ", &format!("room 'War room' --invite {}\r", alice.user_id())),
            ("made !", ""),
            ("echo> ", "rooms\r"),
            ("War room", ""),
            ("echo> ", &format!("dm {} --wait 0s\r", bob.user_id())),
            ("is invited", ""),
            ("echo> ", &format!("dm {} --wait 5m\r", absent.user_id())),
            ("is invited", "\u{3}"),
            // It ended at once, and the prompt goes on.
            ("echo> ", "rooms\r"),
            ("MEMBERS", ""),
            ("echo> ", "quit\r"),
        ],
    );
    // An order that was broken off was not done.
    let told = told.err().ok_or("the prompt forgot what was broken off")?.to_string();
    assert!(told.starts_with("exit status: 1"), "{told}");
    for room in [room, &unwanted] {
        alice.wait_for_member(room, agent, "leave", DEFAULT_TIMEOUT)?;
    }
    let rooms = invites(place, &["echo", "rooms"])?;
    let direct = rooms["rooms"].as_array().into_iter().flatten();
    let direct: Vec<&Value> = direct.filter(|room| room["is_direct"] == true).collect();
    assert_eq!((rooms["rooms"].as_array().map(Vec::len), direct.len()), (Some(3), 2), "{rooms}");
    let made = invites(place, &["echo", "dm", bob.user_id(), "--wait", "0s"])?;
    let room = made["room_id"].as_str().unwrap_or_default();
    assert_eq!(made["made"], false, "{made}");
    bob.wait_for_member(room, bob.user_id(), "invite", DEFAULT_TIMEOUT)?;
    bob.join(room)?;
    wait_for_greeting(&bob, room, agent, "Write me here.")
}
