//! Interactive verification, started from either side, to its end or not.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, RoomOptions,
    UnverifiedDevices,
    tap::{Matcher, Point},
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::Bed,
    conversing::Verifying,
    launcher::Running,
    policy::{Scene, wait_refused},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("verifying::an_operator_verifies_a_user_by_emojis", operator_starts),
    ("verifying::an_operator_verifies_a_user_who_left_their_first_chat", left),
    ("verifying::a_user_who_asks_waits_for_the_operator", user_starts),
    ("verifying::who_may_not_ask_is_declined", declined),
    ("verifying::emojis_that_differ_verify_nobody", |bed| mismatch(bed, Asks::Operator)),
    ("verifying::emojis_that_differ_verify_nobody_whom_a_user_asked_for", |bed| {
        mismatch(bed, Asks::User)
    }),
    ("verifying::a_user_who_says_that_emojis_differ_verifies_nobody", mismatch_there),
    ("verifying::a_claim_to_be_done_proves_nothing", forged_done),
    ("verifying::both_sides_may_begin_to_compare_at_once", both_start),
    ("verifying::a_request_that_came_while_the_agent_was_away_waits_for_the_operator", away),
    ("verifying::an_operator_who_goes_away_cancels", interrupted),
    ("verifying::a_user_who_cancels_ends_the_command", |bed| cancelled(bed, Asks::Operator)),
    ("verifying::a_user_who_asked_and_cancels_ends_the_command", |bed| cancelled(bed, Asks::User)),
    ("verifying::what_takes_too_long_is_called_off", timed_out),
    ("verifying::a_request_that_no_operator_takes_up_is_called_off", not_taken_up),
    ("verifying::a_kill_in_any_step_leaves_nothing_half_verified", |bed| {
        killed(bed, Asks::Operator)
    }),
    ("verifying::a_kill_after_a_users_request_leaves_nothing_half_verified", |bed| {
        killed(bed, Asks::User)
    }),
    ("verifying::a_code_that_the_user_scans_verifies_both", by_code),
    ("verifying::another_device_of_the_agents_account_is_verified", own_device),
    ("verifying::another_device_of_the_agents_account_may_ask", own_device_asks),
    ("verifying::cross_signing_stops_a_verified_user_with_a_new_identity", |bed| {
        violated(bed, "cross-signing")
    }),
    ("verifying::manual_stops_a_verified_user_with_a_new_identity", |bed| violated(bed, "manual")),
    ("verifying::tofu_warns_about_a_verified_user_with_a_new_identity", |bed| {
        violated(bed, "tofu")
    }),
    ("verifying::a_withdrawn_verification_lets_a_new_identity_in", withdrawn),
    ("verifying::manual_lets_in_whom_the_operator_verified_and_no_ghost", ghost),
    ("verifying::a_client_that_withholds_keys_is_told_once_and_heals_by_verification", withheld),
    ("verifying::a_command_that_needs_a_verified_sender_refuses_others", commands),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Begins to verify Alice, as an operator.
fn begin(scene: &Scene, more: &[&str]) -> Result<Verifying> {
    Verifying::with(scene.tapped.place.path(), "agent", scene.alice.user_id(), more)
}

/// What a user does who was asked, up to the emojis.
fn join_in(user: &JsUser, agent: &str) -> Result<(String, Vec<String>)> {
    let flow = user.wait_for_verification_request(agent, DEFAULT_TIMEOUT)?;
    user.accept_verification(&flow)?;
    let emojis = user.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
    Ok((flow, emojis))
}

/// Who begins a verification.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Operator,
    User,
}

/// A verification up to the emojis: the flow, and the operator's command.
fn compare(scene: &Scene, room: &str, asks: Asks) -> Result<(String, Verifying)> {
    let (flow, mut operator, emojis) = match asks {
        Asks::Operator => {
            let operator = begin(scene, &[])?;
            let (flow, emojis) = join_in(&scene.alice, &scene.agent)?;
            (flow, operator, emojis)
        }
        Asks::User => {
            let flow = scene.alice.request_verification(room, &scene.agent)?;
            let operator = begin_when_asked(scene)?;
            let emojis = scene.alice.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
            (flow, operator, emojis)
        }
    };
    assert_eq!(operator.wait_for_emojis()?, emojis);
    Ok((flow, operator))
}

/// Takes up what Alice has asked for, once it is there.
fn begin_when_asked(scene: &Scene) -> Result<Verifying> {
    wait_until_asked(scene)?;
    begin(scene, &[])
}

/// Waits until something that Alice has asked for waits for the operator.
fn wait_until_asked(scene: &Scene) -> Outcome {
    let waits = |shown: &Value| shown["stage"] == "requested";
    let end = Instant::now() + DEFAULT_TIMEOUT;
    loop {
        let shown = scene.tapped.place.command(&["verify", "agent", "--requests", "--json"])?;
        let shown: Value = serde_json::from_slice(&shown.stdout)?;
        if shown["verifications"].as_array().is_some_and(|all| all.iter().any(waits)) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("nobody asks: {shown}").into());
        }
    }
}

/// Both sides say that the emojis are the same.
fn agree(user: &JsUser, flow: &str, mut operator: Verifying) -> Outcome {
    operator.say("yes")?;
    user.confirm_emojis(flow)?;
    operator.wait_for("done")?;
    assert_eq!(operator.wait_for_end()?.code(), Some(0));
    let end = user.wait_for_verification_end(flow, DEFAULT_TIMEOUT)?;
    assert!(end.done && !end.cancelled, "{end:?}");
    Ok(())
}

/// Verifies Alice from beginning to end.
fn verify(scene: &Scene) -> Outcome {
    let mut operator = begin(scene, &[])?;
    let (flow, emojis) = join_in(&scene.alice, &scene.agent)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&scene.alice, &flow, operator)?;
    scene.alice.wait_for_verified_user(&scene.agent, DEFAULT_TIMEOUT)?;
    Ok(())
}

/// What the ledger has about Alice.
fn entry(scene: &Scene) -> Result<Value> {
    let shown: Value = serde_json::from_str(&scene.trust(&["--json"])?)?;
    let users = shown["users"].as_array().into_iter().flatten();
    let mut found = users.filter(|user| user["user"] == scene.alice.user_id());
    found.next().cloned().ok_or_else(|| format!("nothing about Alice: {shown}").into())
}

/// Fails if either side has verified the other.
fn nobody_is_verified(scene: &Scene) -> Outcome {
    assert!(entry(scene)?["verified"].is_null());
    assert!(!scene.alice.user_status(&scene.agent)?.verified);
    Ok(())
}

fn met(bed: &Bed, mode: &str) -> Result<Scene> {
    Scene::new(bed, mode)
}

/// An agent that knows Alice, in a direct chat.
fn start<'a>(scene: &'a Scene) -> Result<(Running<'a>, String)> {
    let launcher = scene.tapped.start_ready("agent")?;
    let room = scene.alice.create_room(RoomOptions::encrypted().invite(&scene.agent).direct())?;
    scene.alice.wait_for_member(&room, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    ask(&scene.alice, &room, "we have met", &scene.agent)?;
    Ok((launcher, room))
}

fn operator_starts(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, room) = start(&scene)?;
    verify(&scene)?;
    assert_eq!(entry(&scene)?["verified"]["method"], "emoji");
    launcher.wait_for_event("verification_done", "agent")?;
    ask(&scene.alice, &room, "and now", &scene.agent)?;
    let log = launcher.log_text()?;
    assert!(!log.contains("emojis\":"), "what both sides compare is not logged");
    scene.tapped.check()
}

fn left(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let file = scene.tapped.place.path().join("agents/agent/config.yaml");
    let config = std::fs::read_to_string(&file)?;
    std::fs::write(&file, config + "invites: { auto_leave_empty: false }\n")?;
    let (mut launcher, room) = start(&scene)?;
    let invites = |more: &[&str]| -> Result<Value> {
        let shown = scene.tapped.place.command(&[&["invites", "agent"], more].concat())?;
        Ok(serde_json::from_slice(&shown.stdout)?)
    };
    // The account calls their room direct now.
    let chat = invites(&["dm", scene.alice.user_id(), "--json"])?;
    assert_eq!(chat["room_id"], room);
    scene.alice.leave(&room)?;
    launcher.wait_until("the agent is alone", |_| {
        Ok(invites(&["rooms", "--json"])?["rooms"][0]["joined_members"] == 1)
    })?;
    let options = RoomOptions::encrypted().invite(&scene.agent).direct();
    let other = scene.alice.create_room(options)?;
    scene.alice.wait_for_member(&other, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    verify(&scene)?;
    scene.tapped.check()
}

fn user_starts(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, room) = start(&scene)?;
    let flow = scene.alice.request_verification(&room, &scene.agent)?;
    let asked = launcher.wait_for_event("verification_requested", "agent")?;
    assert_eq!(asked["user"], scene.alice.user_id());
    let shown = scene.tapped.place.command(&["verify", "agent", "--requests", "--json"])?;
    let shown: Value = serde_json::from_slice(&shown.stdout)?;
    assert_eq!(shown["verifications"][0]["stage"], "requested", "{shown}");
    nobody_is_verified(&scene)?;

    let mut operator = begin(&scene, &[])?;
    let emojis = scene.alice.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&scene.alice, &flow, operator)?;
    scene.alice.wait_for_verified_user(&scene.agent, DEFAULT_TIMEOUT)?;
    assert_eq!(entry(&scene)?["verified"]["method"], "emoji");
    scene.tapped.check()
}

fn declined(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    configure(&scene, "verification: { accept_from: [] }")?;
    let (mut launcher, room) = start(&scene)?;
    let flow = scene.alice.request_verification(&room, &scene.agent)?;
    launcher.wait_for_event("verification_declined", "agent")?;
    let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
    assert!(end.cancelled, "{end:?}");
    nobody_is_verified(&scene)
}

fn mismatch(bed: &Bed, asks: Asks) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, room) = start(&scene)?;
    let (flow, mut operator) = compare(&scene, &room, asks)?;
    operator.say("no")?;
    let cancelled = operator.wait_for("cancelled")?;
    assert_eq!(
        (&cancelled["code"], &cancelled["by_us"]),
        (&"m.mismatched_sas".into(), &true.into())
    );
    assert_eq!(operator.wait_for_end()?.code(), Some(1));
    let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
    assert_eq!(end.code.as_deref(), Some("m.mismatched_sas"));
    nobody_is_verified(&scene)?;
    // A new one works at once.
    ask(&scene.alice, &room, "again", &scene.agent)?;
    verify(&scene)
}

fn mismatch_there(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, _) = start(&scene)?;
    let mut operator = begin(&scene, &[])?;
    let (flow, _) = join_in(&scene.alice, &scene.agent)?;
    operator.wait_for_emojis()?;
    operator.say("yes")?;
    operator.wait_for("confirmed")?;
    scene.alice.mismatch_emojis(&flow)?;
    let cancelled = operator.wait_for("cancelled")?;
    assert_eq!(cancelled["by_us"], false);
    assert_eq!(operator.wait_for_end()?.code(), Some(1));
    nobody_is_verified(&scene)
}

/// Somebody in the middle says that all is well.
fn forged_done(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (launcher, room) = start(&scene)?;
    let mut operator = begin(&scene, &[])?;
    let (flow, _) = join_in(&scene.alice, &scene.agent)?;
    operator.wait_for_emojis()?;
    let done = json!({ "m.relates_to": { "rel_type": "m.reference", "event_id": flow } });
    scene.alice.send_event(&room, "m.key.verification.done", &done)?;
    operator.wait_for("cancelled")?;
    assert_eq!(operator.wait_for_end()?.code(), Some(1));
    assert!(entry(&scene)?["verified"].is_null());
    assert!(launcher.events("verification_done", "agent")?.is_empty());
    Ok(())
}

fn both_start(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, _) = start(&scene)?;
    let mut operator = begin(&scene, &["--qr"])?;
    let flow = scene.alice.wait_for_verification_request(&scene.agent, DEFAULT_TIMEOUT)?;
    scene.alice.accept_verification(&flow)?;
    // She would rather compare emojis than scan a code.
    scene.alice.start_sas(&flow)?;
    let emojis = scene.alice.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&scene.alice, &flow, operator)?;
    assert_eq!(entry(&scene)?["verified"]["method"], "emoji");
    Ok(())
}

fn away(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (launcher, room) = start(&scene)?;
    assert!(launcher.stop()?.0.success());
    let flow = scene.alice.request_verification(&room, &scene.agent)?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    launcher.wait_for_event("verification_requested", "agent")?;
    let mut operator = begin(&scene, &[])?;
    let emojis = scene.alice.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&scene.alice, &flow, operator)
}

fn interrupted(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, _) = start(&scene)?;
    let mut operator = begin(&scene, &[])?;
    let (flow, _) = join_in(&scene.alice, &scene.agent)?;
    operator.wait_for_emojis()?;
    operator.interrupt()?;
    let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
    assert!(end.cancelled, "{end:?}");
    assert_ne!(operator.wait_for_end()?.code(), Some(0));
    nobody_is_verified(&scene)
}

fn cancelled(bed: &Bed, asks: Asks) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, room) = start(&scene)?;
    let (flow, mut operator) = compare(&scene, &room, asks)?;
    scene.alice.cancel_verification(&flow)?;
    let cancelled = operator.wait_for("cancelled")?;
    assert_eq!(cancelled["by_us"], false);
    assert_eq!(operator.wait_for_end()?.code(), Some(1));
    nobody_is_verified(&scene)
}

/// Writes something at the end of the agent's file.
fn configure(scene: &Scene, more: &str) -> Outcome {
    let path = scene.tapped.place.agent_folder("agent").join("config.yaml");
    let config = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(&path, format!("{config}{more}\n"))?)
}

fn not_taken_up(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    configure(&scene, "verification: { timeout: 4s }")?;
    let (mut launcher, room) = start(&scene)?;
    let flow = scene.alice.request_verification(&room, &scene.agent)?;
    let ended = launcher.wait_for_event("verification_cancelled", "agent")?;
    assert_eq!(ended["code"], "m.timeout");
    let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
    assert!(end.cancelled, "{end:?}");
    nobody_is_verified(&scene)
}

fn timed_out(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    configure(&scene, "verification: { timeout: 4s }")?;
    let (_launcher, _) = start(&scene)?;
    let mut operator = begin(&scene, &[])?;
    let flow = scene.alice.wait_for_verification_request(&scene.agent, DEFAULT_TIMEOUT)?;
    let cancelled = operator.wait_for("cancelled")?;
    assert_eq!(cancelled["code"], "m.timeout");
    assert_eq!(operator.wait_for_end()?.code(), Some(1));
    let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
    assert!(end.cancelled, "{end:?}");
    nobody_is_verified(&scene)
}

/// Kills the launcher after the request, with the emojis in sight, and after
/// its own side has confirmed.
fn killed(bed: &Bed, asks: Asks) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, room) = start(&scene)?;
    let steps: &[&str] = match asks {
        Asks::Operator => &["sent", "request", "emojis", "confirmed"],
        Asks::User => &["request", "emojis", "confirmed"],
    };
    for step in steps.iter().copied() {
        let sending = || Matcher::path_contains("/send/m.room.encrypted/").method("PUT").times(1);
        let kill = || scene.tapped.kill(Point::AfterResponse, Duration::ZERO);
        let cut = (step == "sent").then(|| scene.tapped.tap.add_rule(sending(), kill()));
        let (flow, operator) = match asks {
            Asks::Operator => {
                let operator = begin(&scene, &[])?;
                let flow =
                    scene.alice.wait_for_verification_request(&scene.agent, DEFAULT_TIMEOUT)?;
                (flow, Some(operator))
            }
            Asks::User => {
                let flow = scene.alice.request_verification(&room, &scene.agent)?;
                wait_until_asked(&scene)?;
                (flow, None)
            }
        };
        if let Some(cut) = cut {
            cut.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        }
        if !matches!(step, "sent" | "request") {
            let mut operator = match operator {
                Some(operator) => {
                    scene.alice.accept_verification(&flow)?;
                    operator
                }
                None => begin(&scene, &[])?,
            };
            scene.alice.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
            operator.wait_for_emojis()?;
            if step == "confirmed" {
                operator.say("yes")?;
                operator.wait_for("confirmed")?;
            }
        }
        scene.tapped.victim().kill();
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        launcher = scene.tapped.start_ready("agent")?;
        let end = scene.alice.wait_for_verification_end(&flow, DEFAULT_TIMEOUT)?;
        assert!(end.cancelled, "{step}: {end:?}");
        nobody_is_verified(&scene)?;
        ask(&scene.alice, &room, step, &scene.agent)?;
    }
    // A new one works at once.
    verify(&scene)?;
    scene.tapped.check()
}

fn by_code(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (_launcher, _) = start(&scene)?;
    let mut operator = begin(&scene, &["--qr"])?;
    let flow = scene.alice.wait_for_verification_request(&scene.agent, DEFAULT_TIMEOUT)?;
    scene.alice.accept_verification(&flow)?;
    let code = operator.wait_for("code")?;
    let code = STANDARD.decode(code.as_str().unwrap_or_default())?;
    scene.alice.scan_qr(&flow, &code)?;
    operator.wait_for("scanned")?;
    operator.say("yes")?;
    operator.wait_for("done")?;
    assert_eq!(operator.wait_for_end()?.code(), Some(0));
    scene.alice.wait_for_verified_user(&scene.agent, DEFAULT_TIMEOUT)?;
    assert_eq!(entry(&scene)?["verified"]["method"], "qr");
    Ok(())
}

/// A further device of the agent's account, without its keys.
fn other_device(bed: &Bed, scene: &Scene) -> Result<JsUser> {
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    Ok(bed.device_of(&scene.agent, options)?)
}

fn own_device(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, _) = start(&scene)?;
    let other = other_device(bed, &scene)?;
    crate::policy::wait_about(&mut launcher, "device_new", &other)?;
    let own = launcher.agent_status("agent")?["device_id"].clone();
    other.wait_for_device(&scene.agent, own.as_str().unwrap_or_default(), DEFAULT_TIMEOUT)?;
    let more = ["--device", other.device_id()];
    let mut operator = Verifying::with(scene.tapped.place.path(), "agent", &scene.agent, &more)?;
    let (flow, emojis) = join_in(&other, &scene.agent)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&other, &flow, operator)?;
    let signed =
        scene.alice.wait_for_signed_device(&scene.agent, other.device_id(), DEFAULT_TIMEOUT)?;
    assert!(signed.signed_by_owner);
    Ok(())
}

fn own_device_asks(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, _) = start(&scene)?;
    let other = other_device(bed, &scene)?;
    crate::policy::wait_about(&mut launcher, "device_new", &other)?;
    let flow = other.request_own_verification()?;
    launcher.wait_for_event("verification_requested", "agent")?;
    let mut operator = Verifying::with(scene.tapped.place.path(), "agent", &scene.agent, &[])?;
    let emojis = other.wait_for_emojis(&flow, DEFAULT_TIMEOUT)?;
    assert_eq!(operator.wait_for_emojis()?, emojis);
    agree(&other, &flow, operator)?;
    scene.alice.wait_for_signed_device(&scene.agent, other.device_id(), DEFAULT_TIMEOUT)?;
    Ok(())
}

/// A group of Alice, Bob and the agent, in which both may talk to it.
fn group(
    bed: &Bed,
    scene: &Scene,
    launcher: &mut Running<'_>,
    mode: &str,
) -> Result<(JsUser, String)> {
    let (bob, room) = scene.with_bob(bed)?;
    if mode == "manual" {
        let said = bob.send_text(&room, "may I?")?;
        wait_refused(launcher, &said)?;
        scene.trust(&["approve", bob.user_id()])?;
        bob.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    }
    Ok((bob, room))
}

fn violated(bed: &Bed, mode: &str) -> Outcome {
    let scene = met(bed, mode)?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let direct = alice.create_room(RoomOptions::encrypted().invite(&scene.agent).direct())?;
    alice.wait_for_member(&direct, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    let (bob, room) = group(bed, &scene, &mut launcher, mode)?;
    verify(&scene)?;
    ask(alice, &room, "verified", &scene.agent)?;

    alice.reset_identity()?;
    let changed = launcher.wait_for_event("identity_changed", "agent")?;
    assert_eq!(changed["was_verified"], true);
    let status = launcher.wait_for_state("agent", "degraded")?;
    assert!(
        status["reason"].as_str().is_some_and(|it| it.contains("identity_changed")),
        "{status}"
    );
    if mode == "tofu" {
        ask(alice, &room, "tofu goes on", &scene.agent)?;
    } else {
        let said = alice.send_text(&room, "me again")?;
        assert_eq!(wait_refused(&mut launcher, &said)?["code"], "identity_changed");
        let answer = ask(&bob, &room, "only bob", &scene.agent)?;
        scene.is_unanswered(&room, &said)?;
        let unread = MessageFilter::new().event_id(&answer.event_id).undecryptable();
        let seen = alice.wait_for_message(&room, unread, DEFAULT_TIMEOUT)?;
        assert!(seen.decryption_failure.is_some(), "{seen:?}");
        // What the operator needs to verify her gets through, and nothing else.
        verify(&scene)?;
        alice.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
        ask(alice, &room, "verified again", &scene.agent)?;
        launcher.wait_for_state("agent", "running")?;
        return scene.tapped.check();
    }
    verify(&scene)?;
    launcher.wait_for_state("agent", "running")?;
    scene.tapped.check()
}

fn withdrawn(bed: &Bed) -> Outcome {
    let scene = met(bed, "cross-signing")?;
    let (mut launcher, room) = start(&scene)?;
    verify(&scene)?;
    scene.alice.reset_identity()?;
    launcher.wait_for_event("identity_changed", "agent")?;
    let said = scene.alice.send_text(&room, "me again")?;
    wait_refused(&mut launcher, &said)?;
    scene.trust(&["withdraw", scene.alice.user_id()])?;
    scene.alice.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    launcher.wait_for_state("agent", "running")?;
    scene.tapped.check()
}

fn ghost(bed: &Bed) -> Outcome {
    let scene = met(bed, "manual")?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = alice.create_room(RoomOptions::encrypted().invite(&scene.agent).direct())?;
    alice.wait_for_member(&room, &scene.agent, "join", DEFAULT_TIMEOUT)?;
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    let ghost = bed.device_of(alice.user_id(), options)?;
    let said = alice.send_text(&room, "let me in")?;
    wait_refused(&mut launcher, &said)?;
    verify(&scene)?;
    alice.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
    ask(alice, &room, "and again", &scene.agent)?;
    let to_ghost = scene.tapped.tap.requests().into_iter().any(|request| {
        let is_key = request.path.contains("/sendToDevice/m.room.encrypted/");
        let body = request.json().unwrap_or_default();
        is_key && !body["messages"][ghost.user_id()][ghost.device_id()].is_null()
    });
    assert!(!to_ghost);
    let alien = ghost.send_text(&room, "me, too")?;
    wait_refused(&mut launcher, &alien)?;
    ask(alice, &room, "not the ghost", &scene.agent)?;
    scene.is_unanswered(&room, &alien)?;
    scene.tapped.check()
}

fn withheld(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let (mut launcher, room) = start(&scene)?;
    let alice = &scene.alice;
    alice.set_unverified_devices(UnverifiedDevices::Exclude)?;
    alice.discard_session(&room)?;
    let said = alice.send_text(&room, "you cannot read this")?;
    launcher.wait_for_event("key_withheld", "agent")?;
    alice.send_text(&room, "nor this")?;
    let notices = MessageFilter::new().sender(&scene.agent).msgtype("m.notice").reply_to(&said);
    let notice = alice.wait_for_message(&room, notices, DEFAULT_TIMEOUT * 3)?;
    assert!(notice.body.is_some_and(|body| body.contains("Verify me")));
    verify(&scene)?;
    ask(alice, &room, "and now", &scene.agent)?;
    let told = alice.messages(&room)?;
    let told = told.iter().filter(|message| message.msgtype.as_deref() == Some("m.notice"));
    assert_eq!(told.count(), 1, "told once");
    scene.tapped.check()
}

fn commands(bed: &Bed) -> Outcome {
    let scene = met(bed, "tofu")?;
    let path = scene.tapped.place.agent_folder("agent").join("config.yaml");
    let config = std::fs::read_to_string(&path)?;
    let (before, _) = config.split_once("behavior:").ok_or("no behavior")?;
    let behavior = "behavior:\n  commands:\n    \"!open\": { run: [echo, doors, open] }\n    \
                    \"!launch\": { run: [echo, lift, off], require: verified }\n";
    std::fs::write(&path, format!("{before}{behavior}"))?;
    let mut launcher = scene.tapped.start_ready("agent")?;
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    let run = |user: &JsUser, text: &str| -> Result<String> {
        let said = user.send_text(&room, text)?;
        let answers = user.wait_for_replies(&room, &said, 1, DEFAULT_TIMEOUT)?;
        Ok(answers.into_iter().next().and_then(|answer| answer.body).unwrap_or_default())
    };
    assert!(run(alice, "!open")?.contains("doors open"));
    let refused = run(alice, "!launch")?;
    assert!(refused.contains("verified sender") && !refused.contains("lift off"), "{refused}");
    verify(&scene)?;
    assert!(run(alice, "!launch")?.contains("lift off"));
    // Alice is verified; a device that she has not signed is not.
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    let laptop = bed.device_of(alice.user_id(), options)?;
    crate::policy::wait_about(&mut launcher, "device_new", &laptop)?;
    laptop.wait_for_member(&room, laptop.user_id(), "join", DEFAULT_TIMEOUT)?;
    assert!(run(&laptop, "!open")?.contains("doors open"));
    let refused = run(&laptop, "!launch")?;
    assert!(refused.contains("not verified by yourself"), "{refused}");
    scene.tapped.check()
}
