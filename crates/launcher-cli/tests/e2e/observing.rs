//! What monitoring sees of a launcher.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, LoginOptions, RoomOptions, UnverifiedDevices, ensure_installed, testbed_root,
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::{Place, Running, pickle_key, variable},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("observing::metrics_follow_an_answer_a_withheld_key_and_what_operators_send", counted),
    ("observing::readiness_follows_parking_acknowledging_and_coming_back", readiness),
    ("observing::an_address_that_is_taken_ends_a_start_and_not_a_running_launcher", taken),
    ("observing::dashboard_and_alerts_are_well_formed", operations),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Reads metrics as strictly as the format is written down, into a list of
/// `[name, labels, value]`.
const PARSER: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
assert all(family.documentation for family in families)
json.dump([[s.name, s.labels, s.value] for f in families for s in f.samples], sys.stdout)
";

fn python(script: &str, input: &str) -> Result<Value> {
    let mut child = Command::new(ensure_installed()?.python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// One scrape.
struct Metrics(Vec<(String, Value, f64)>);

impl Metrics {
    /// The value of a sample; `more` is a label besides the agent.
    fn of(&self, name: &str, agent: &str, more: Option<(&str, &str)>) -> Option<f64> {
        let found = self.0.iter().find(|(found, labels, _)| {
            found == name
                && labels["agent"] == agent
                && more.is_none_or(|(label, value)| labels[label] == value)
        });
        found.map(|(_, _, value)| *value)
    }

    fn process(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(found, ..)| found == name).map(|(.., value)| *value)
    }
}

/// A place whose launchers serve metrics at a free port.
pub(crate) fn watched(bed: &Bed) -> Result<Place> {
    let place = Place::new(bed)?;
    set_admin(&place, "127.0.0.1:0")?;
    Ok(place)
}

fn set_admin(place: &Place, address: &str) -> Result<()> {
    let config =
        format!("homeserver: {}\nadmin: {{ listen: \"{address}\" }}\n", place.homeserver());
    Ok(std::fs::write(place.path().join("config.yaml"), config)?)
}

/// Where the launcher listens, by its log.
pub(crate) fn address(launcher: &mut Running<'_>) -> Result<String> {
    let line = launcher.wait_for_line("listening", |line| line["event"] == "listening")?;
    Ok(format!("http://{}", line["address"].as_str().ok_or("no address")?))
}

pub(crate) fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut answer = agent.get(format!("{address}{path}")).call()?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

fn metrics(address: &str) -> Result<Metrics> {
    let (status, text) = get(address, "/metrics")?;
    assert_eq!(status, 200);
    assert!(!text.contains('@') && !text.contains('!'), "ids of users or rooms: {text}");
    Ok(Metrics(serde_json::from_value(python(PARSER, &text)?)?))
}

fn ready(address: &str) -> Result<(u16, Value)> {
    let (status, text) = get(address, "/readyz")?;
    Ok((status, serde_json::from_str(&text)?))
}

fn counted(bed: &Bed) -> Outcome {
    let place = watched(bed)?;
    let agent = place.agent(bed, "echo")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let address = address(&mut launcher)?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let before = metrics(&address)?;
    let at = |metrics: &Metrics, name: &str| metrics.of(name, "echo", None);
    for name in [
        "launcher_agent_messages_received_total",
        "launcher_agent_messages_answered_total",
        "launcher_agent_messages_sent_total",
        "launcher_agent_send_duration_seconds_count",
        "launcher_agent_send_duration_seconds_sum",
        "launcher_agent_undecryptable_pending",
    ] {
        assert_eq!(at(&before, name), Some(0.0), "{name}");
    }
    assert_eq!(at(&before, "launcher_agent_decrypt_age_seconds"), None);
    ask(&alice, &room, "hello", &agent)?;
    let sent = place.command_with_input(&["send", "echo", &room], "by the way")?;
    assert!(sent.status.success());
    launcher.wait_until("both are counted", |_| {
        let after = metrics(&address)?;
        Ok(at(&after, "launcher_agent_messages_answered_total") == Some(1.0)
            && at(&after, "launcher_agent_messages_sent_total") == Some(2.0))
    })?;
    let after = metrics(&address)?;
    assert_eq!(at(&after, "launcher_agent_messages_received_total"), Some(1.0));
    assert_eq!(at(&after, "launcher_agent_send_duration_seconds_count"), Some(2.0));
    assert!(at(&after, "launcher_agent_send_duration_seconds_sum").is_some_and(|sum| sum > 0.0));
    let all_sends = ("le", "+Inf");
    let buckets = "launcher_agent_send_duration_seconds_bucket";
    assert_eq!(after.of(buckets, "echo", Some(all_sends)), Some(2.0));
    assert!(at(&after, "launcher_agent_decrypt_age_seconds").is_some_and(|age| age < 60.0));
    assert!(at(&after, "launcher_agent_sync_age_seconds").is_some_and(|age| age < 60.0));
    assert_eq!(at(&after, "launcher_agent_queue_depth"), Some(0.0));
    assert_eq!(at(&after, "launcher_agent_signed"), Some(1.0));
    assert_eq!(at(&after, "launcher_agent_backup"), Some(1.0));
    let state = |state: &str| after.of("launcher_agent_state", "echo", Some(("state", state)));
    assert_eq!((state("running"), state("parked")), (Some(1.0), Some(0.0)));
    for name in ["process_resident_memory_bytes", "process_open_fds", "launcher_tasks"] {
        assert!(after.process(name).is_some_and(|value| value > 1.0), "{name}");
    }
    assert_eq!(
        (after.process("launcher_build_info"), after.process("launcher_ready")),
        (Some(1.0), Some(1.0))
    );
    launcher.wait_until("the homeserver says how many keys it has", |_| {
        let keys = at(&metrics(&address)?, "launcher_agent_one_time_keys");
        Ok(keys.is_some_and(|keys| keys >= 40.0))
    })?;

    // Somebody whose client keeps the key back. That it does may be known only
    // after the first message, and is known before the second.
    let options =
        LoginOptions { unverified_devices: UnverifiedDevices::Exclude, ..LoginOptions::default() };
    let careful = bed.person_with("careful", options)?;
    let other = careful.create_room(RoomOptions::encrypted().invite(&agent))?;
    careful.wait_for_member(&other, &agent, "join", DEFAULT_TIMEOUT)?;
    for number in 1..=2 {
        careful.send_text(&other, "not for you")?;
        launcher.wait_until("it waits", |_| {
            let pending = at(&metrics(&address)?, "launcher_agent_undecryptable_pending");
            Ok(pending == Some(f64::from(number)))
        })?;
    }
    let cause = |metrics: &Metrics, cause: &str| {
        let name = "launcher_agent_undecryptable_total";
        metrics.of(name, "echo", Some(("cause", cause))).unwrap_or_default()
    };
    let after = metrics(&address)?;
    let (withheld, unknown) = (cause(&after, "withheld"), cause(&after, "unknown_session"));
    assert!(withheld >= 1.0 && withheld + unknown == 2.0, "{withheld} {unknown}");
    assert_eq!(at(&after, "launcher_agent_messages_received_total"), Some(1.0));
    Ok(())
}

/// What the metrics say of an agent that may be parked: whether it is parked,
/// whether it runs, whether that is known, and whether the launcher is ready.
fn parked_as_measured(address: &str, agent: &str) -> Result<[Option<f64>; 4]> {
    let metrics = metrics(address)?;
    let state = |state| metrics.of("launcher_agent_state", agent, Some(("state", state)));
    let known = metrics.of("launcher_agent_acknowledged", agent, None);
    Ok([state("parked"), state("running"), known, metrics.process("launcher_ready")])
}

fn readiness(bed: &Bed) -> Outcome {
    let place = watched(bed)?;
    place.agent(bed, "well")?;
    place.agent(bed, "shut")?;
    place.start_ready(&["well", "shut"])?.stop()?;
    place.set_variable(&variable("shut"), &pickle_key("another"))?;
    let mut launcher = place.start_ready(&["well"])?;
    let at = address(&mut launcher)?;
    launcher.wait_for_state("shut", "parked")?;
    assert_eq!(get(&at, "/healthz")?.0, 200);
    let agent = json!({ "id": "shut", "state": "parked", "reason": "store_key_wrong", "acknowledged": false });
    assert_eq!(ready(&at)?, (503, json!({ "ready": false, "agents": [agent] })));
    let [yes, no] = [Some(1.0), Some(0.0)];
    assert_eq!(parked_as_measured(&at, "shut")?, [yes, no, no, no]);
    assert_eq!(parked_as_measured(&at, "well")?, [no, yes, no, no]);

    let refused = place.command(&["acknowledge", "well"])?;
    assert_eq!(refused.status.code(), Some(1));
    let known = place.command(&["acknowledge", "shut", "--note", "the key is in the safe"])?;
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    let (status, page) = ready(&at)?;
    assert_eq!((status, &page["agents"][0]["acknowledged"]), (200, &json!(true)));
    assert_eq!(parked_as_measured(&at, "shut")?, [yes, no, yes, yes]);
    let shown = launcher.agent_status("shut")?;
    assert_eq!(shown["acknowledged"]["note"], "the key is in the safe");
    assert!(launcher.stop()?.0.success());

    // It is still known after a restart, and not any more once the agent was up.
    let mut launcher = place.start_ready(&["well"])?;
    let at = address(&mut launcher)?;
    launcher.wait_for_state("shut", "parked")?;
    assert_eq!(ready(&at)?.0, 200);
    place.set_variable(&variable("shut"), &pickle_key("shut"))?;
    launcher.wait_for_event("agent_ready", "shut")?;
    launcher.wait_until("all agents are ready", |_| {
        Ok(ready(&at)? == (200, json!({ "ready": true, "agents": [] })))
    })?;
    assert_eq!(parked_as_measured(&at, "shut")?, [no, yes, no, yes]);
    place.set_variable(&variable("shut"), &pickle_key("another"))?;
    launcher.wait_for_event("agent_parked", "shut")?;
    launcher.wait_until("nobody knows of it any more", |_| Ok(ready(&at)?.0 == 503))?;
    // It is logged before it is shown.
    launcher.wait_for_state("shut", "parked")?;
    assert_eq!(parked_as_measured(&at, "shut")?, [yes, no, no, no]);
    Ok(())
}

fn taken(bed: &Bed) -> Outcome {
    let place = watched(bed)?;
    let agent = place.agent(bed, "echo")?;
    let held = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = held.local_addr()?.to_string();
    set_admin(&place, &taken)?;
    let mut launcher = place.start()?;
    let ended = launcher.wait_for_end(DEFAULT_TIMEOUT)?;
    assert_eq!(ended.code(), Some(78));
    assert!(launcher.log_text()?.contains(&taken));
    assert!(!place.agent_folder("echo").join("data/crypto/crypto.db").exists());
    drop(launcher);

    set_admin(&place, "127.0.0.1:0")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let first = address(&mut launcher)?;
    set_admin(&place, &taken)?;
    launcher.wait_for_line("the address", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("the agents go on"))
    })?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "are you still there?", &agent)?;
    drop(held);
    set_admin(&place, "127.0.0.1:0")?;
    launcher.wait_until("it is served again", |running| {
        let lines = running.lines()?;
        let last = lines.iter().rev().find(|line| line["event"] == "listening");
        let at = last.and_then(|line| line["address"].as_str()).unwrap_or_default();
        let at = format!("http://{at}");
        Ok(at != first && get(&at, "/healthz")?.0 == 200)
    })?;
    Ok(())
}

fn operations(_: &Bed) -> Outcome {
    let folder = testbed_root().join("docs/operations");
    let alerts = std::fs::read_to_string(folder.join("alerts.yaml"))?;
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let alerts = python(script, &alerts)?;
    let rules = alerts["groups"][0]["rules"].as_array().ok_or("no rules")?;
    assert!(rules.len() >= 6);
    for rule in rules {
        for part in [
            &rule["alert"],
            &rule["expr"],
            &rule["labels"]["severity"],
            &rule["annotations"]["summary"],
        ] {
            assert!(part.as_str().is_some_and(|text| !text.is_empty()), "{rule}");
        }
    }
    let dashboard = std::fs::read_to_string(folder.join("grafana-dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let panels = dashboard["panels"].as_array().ok_or("no panels")?;
    assert!(panels.len() >= 6);
    for panel in panels {
        assert!(
            panel["targets"][0]["expr"].is_string() && panel["gridPos"]["w"].is_number(),
            "{panel}"
        );
    }
    Ok(())
}
