//! Stores that are damaged, and disks that are full.

use std::{fs, path::PathBuf, time::Duration};

use launcher_testbed::{
    DEFAULT_TIMEOUT, SmallDisk,
    tap::{Action, Matcher},
};

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::{Place, Running},
    recovery::only_signed_device,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("damage::a_truncated_store_is_replaced", truncated),
    ("damage::a_store_full_of_zeros_is_replaced", zeroed),
    ("damage::an_empty_store_is_replaced", empty),
    ("damage::a_store_without_its_log_after_a_kill_never_shows_other_keys", without_log),
    ("damage::flipped_bytes_never_lead_to_other_keys_or_to_silence", flipped),
    ("damage::a_damaged_vault_or_journal_parks_and_names_the_file", other_files),
    ("damage::a_disk_that_is_full_while_messages_come_heals_by_itself", full_while_reading),
    ("damage::a_disk_that_is_full_while_an_answer_is_made_heals_by_itself", full_while_answering),
    ("damage::one_time_keys_that_the_server_refuses_are_shown_with_the_way_out", refused_keys),
    ("damage::a_store_on_a_read_only_disk_sends_nothing_and_heals_by_itself", read_only),
];

/// How long a disk that has room again may go unnoticed, a wait of the back-off included.
const HEALS_WITHIN: Duration = Duration::from_secs(90);

/// Damages the crypto store of an agent that was stopped, and expects a new signed device.
fn replaced(bed: &Bed, damage: impl Fn(&[u8]) -> Vec<u8>) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    let crypto_db = crypto_db(&place);
    let whole = fs::read(&crypto_db)?;
    fs::write(&crypto_db, damage(&whole))?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("store_reset", "echo")?;
    launcher.wait_for_event("agent_ready", "echo")?;
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    ask(&alice, &room, "after", &agent)?;
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn crypto_db(place: &Place) -> PathBuf {
    place.agent_folder("echo").join("data/crypto/crypto.db")
}

fn truncated(bed: &Bed) -> Outcome {
    replaced(bed, |whole| whole[..whole.len() / 2 + 100].to_vec())
}

fn zeroed(bed: &Bed) -> Outcome {
    replaced(bed, |whole| vec![0; whole.len()])
}

fn empty(bed: &Bed) -> Outcome {
    replaced(bed, |_| Vec::new())
}

fn without_log(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = Vec::new();
    for number in 0..5 {
        asked.push(stage.say(&alice, &room, &format!("question {number}"))?);
    }
    stage.wait_for_answers(bed.homeserver(), &alice, &room, &agent, &asked)?;
    stage.victim().kill();
    drop(launcher);
    let folder = stage.place.agent_folder("echo").join("data/crypto");
    fs::remove_file(folder.join("crypto.db-wal"))?;
    let launcher = stage.start_ready("echo")?;
    asked.push(stage.say(&alice, &room, "after")?);
    alice.wait_for_replies(&room, &asked[5], 1, DEFAULT_TIMEOUT)?;
    only_signed_device(&alice, &agent)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

/// Whatever a flipped byte hits: the agent answers in the end, as the device
/// that it was or as a new one that its owner signed.
fn flipped(bed: &Bed) -> Outcome {
    let alice = bed.person("alice")?;
    for part in 1..6 {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
        let launcher = stage.start_ready("echo")?;
        let room = room_with(&alice, &agent)?;
        let mut asked = vec![stage.say(&alice, &room, "before")?];
        alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
        assert!(launcher.stop()?.0.success());
        let crypto_db = crypto_db(&stage.place);
        let mut bytes = fs::read(&crypto_db)?;
        // One byte on each page of a sixth of the file, in the middle of the rows.
        let sixth = bytes.len() / 6;
        for page in (part * sixth..(part + 1) * sixth).step_by(4096) {
            let place = (page / 4096) * 4096 + 2048 + part * 97;
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 0x55;
            }
        }
        fs::write(&crypto_db, bytes)?;
        let mut launcher = stage.start()?;
        launcher.wait_until("ready, or parked with a way out", |launcher| {
            Ok(!launcher.events("agent_ready", "echo")?.is_empty()
                || !launcher.events("agent_parked", "echo")?.is_empty())
        })?;
        let panicked = launcher
            .lines()?
            .into_iter()
            .any(|line| line["message"].as_str().is_some_and(|text| text.contains("panicked")));
        assert!(!panicked, "part {part}");
        if launcher.events("agent_ready", "echo")?.is_empty() {
            let parked = launcher.wait_for_event("agent_parked", "echo")?;
            assert!(parked["action"].as_str().is_some_and(|action| action.contains("reset echo")));
        } else {
            only_signed_device(&alice, &agent)?;
            asked.push(stage.say(&alice, &room, "after")?);
            alice.wait_for_replies(&room, &asked[1], 1, HEALS_WITHIN)?;
            stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
        }
        assert!(launcher.stop()?.0.success());
        stage.check()?;
    }
    Ok(())
}

fn other_files(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    place.start_ready(&["echo"])?.stop()?;
    for name in ["vault", "journal.db"] {
        let path = place.agent_folder("echo").join("data").join(name);
        let whole = fs::read(&path)?;
        fs::write(&path, &whole[..whole.len() / 2])?;
        let mut launcher = place.start()?;
        let parked = launcher.wait_for_event("agent_parked", "echo")?;
        let reason = parked["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(name), "{reason}");
        assert!(launcher.stop()?.0.success());
        fs::write(&path, &whole)?;
        place.start_ready(&["echo"])?.stop()?;
    }
    Ok(())
}

/// An agent whose data is on a small disk.
struct Full {
    stage: Tapped,
    disk: SmallDisk,
    agent: String,
}

impl Full {
    fn new(bed: &Bed, echo: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), echo, "")?;
        let data = stage.place.agent_folder("echo").join("data");
        fs::create_dir(&data)?;
        let disk = SmallDisk::start(&data, 8 * 1024)?;
        Ok(Self { stage, disk, agent })
    }

    fn start_ready(&self) -> Result<Running<'_>, Box<dyn std::error::Error>> {
        let mut launcher = self.stage.place.start_on(&self.disk)?;
        launcher.wait_for_event("agent_ready", "echo")?;
        Ok(launcher)
    }
}

/// In its status, or, if there was room for a moment again, in its log.
fn says_that_it_cannot_write(launcher: &Running<'_>) -> Result<bool, Box<dyn std::error::Error>> {
    let status = launcher.agent_status("echo")?;
    let failed = |line: &serde_json::Value| {
        line["reason"].as_str().is_some_and(|reason| reason.contains("full"))
    };
    Ok(status["state"] != "running" && status["action"].is_string()
        || launcher.events("agent_restarting", "echo")?.iter().any(failed))
}

fn full_while_reading(bed: &Bed) -> Outcome {
    let full = Full::new(bed, "")?;
    let stage = &full.stage;
    let alice = bed.person("alice")?;
    let mut launcher = full.start_ready()?;
    let room = room_with(&alice, &full.agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let device = only_signed_device(&alice, &full.agent)?;
    full.disk.fill()?;
    for number in 0..10 {
        alice.discard_session(&room)?;
        asked.push(stage.say(&alice, &room, &format!("no room for {number}"))?);
    }
    launcher.wait_until("it says what is wrong", says_that_it_cannot_write)?;
    full.disk.free()?;
    stage.wait_for_answers(bed.homeserver(), &alice, &room, &full.agent, &asked)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &full.agent, &asked)?;
    assert_eq!(only_signed_device(&alice, &full.agent)?, device);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn full_while_answering(bed: &Bed) -> Outcome {
    let full = Full::new(bed, ", delay: 2s")?;
    let stage = &full.stage;
    let alice = bed.person("alice")?;
    let mut launcher = full.start_ready()?;
    let room = room_with(&alice, &full.agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let device = only_signed_device(&alice, &full.agent)?;
    asked.push(stage.say(&alice, &room, "while you think")?);
    let journal = full.disk.inside(&stage.place.agent_folder("echo").join("data/journal.db"));
    assert!(journal.exists());
    // The message is in the journal when the behavior is asked.
    launcher.wait_until("the message is taken in", |launcher| {
        Ok(launcher.agent_status("echo")?["received"] == 2)
    })?;
    full.disk.fill()?;
    launcher.wait_until("it says what is wrong", says_that_it_cannot_write)?;
    full.disk.free()?;
    alice.wait_for_replies(&room, &asked[1], 1, HEALS_WITHIN)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &full.agent, &asked)?;
    assert_eq!(only_signed_device(&alice, &full.agent)?, device);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn refused_keys(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let taken =
        "One time key signed_curve25519:AAAAAAAAAAA already exists. Old key: {}; new key: {}";
    let refusal = serde_json::json!({ "errcode": "M_UNKNOWN", "error": taken });
    let uploads = Matcher::path_contains("/keys/upload").body(|body| {
        body["one_time_keys"].as_object().is_some_and(|keys| !keys.is_empty())
            && body["device_keys"].is_null()
    });
    // The first upload has the device's keys, and is let through.
    let rule = stage.tap.add_rule(uploads, Action::status(400, refusal));
    let mut launcher = stage.start_ready("echo")?;
    let agent = launcher.agent_status("echo")?["user_id"].as_str().unwrap_or_default().to_owned();
    // Strangers take one-time keys; with the next news the agent uploads new ones.
    let device = launcher.agent_status("echo")?["device_id"].clone();
    let claim = serde_json::json!({ "one_time_keys": {
        &agent: { device.as_str().unwrap_or_default(): "signed_curve25519" },
    } });
    let stranger = bed.account("stranger")?;
    for _ in 0..30 {
        let token = Some(stranger.access_token.as_str());
        let path = "/_matrix/client/v3/keys/claim";
        bed.homeserver().request("POST", path, token, Some(&claim))?;
    }
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    alice.send_text(&room, "news")?;
    rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
    launcher.wait_for_event("otk_conflict", "echo")?;
    launcher.wait_until("it says what helps", |launcher| {
        let status = launcher.agent_status("echo")?;
        let action = status["action"].as_str().unwrap_or_default().to_owned();
        Ok(status["state"] == "degraded" && action.contains("launcher reset echo"))
    })?;
    rule.remove();
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn read_only(bed: &Bed) -> Outcome {
    let full = Full::new(bed, "")?;
    let stage = &full.stage;
    let alice = bed.person("alice")?;
    let launcher = full.start_ready()?;
    let room = room_with(&alice, &full.agent)?;
    ask(&alice, &room, "before", &full.agent)?;
    let device = only_signed_device(&alice, &full.agent)?;
    assert!(launcher.stop()?.0.success());
    full.disk.make_read_only()?;
    let uploads = stage.tap.requests().len();
    let mut launcher = stage.place.start_on(&full.disk)?;
    let failed = launcher.wait_for_event("agent_restarting", "echo")?;
    let reason = failed["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("store_unusable"), "{reason}");
    let sent = stage.tap.requests();
    let uploaded = sent[uploads..].iter().any(|request| request.path.contains("/keys/upload"));
    assert!(!uploaded);
    full.disk.make_writable()?;
    launcher.wait_for_event("agent_ready", "echo")?;
    ask(&alice, &room, "after", &full.agent)?;
    assert_eq!(only_signed_device(&alice, &full.agent)?, device);
    assert!(launcher.stop()?.0.success());
    Ok(())
}
