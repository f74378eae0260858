//! What was set is never shown again, and what operators do is written down.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Output,
};

use serde_json::Value;

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::{Place, mode},
};

pub(crate) const CASES: Cases = &[
    ("secrecy::no_command_route_log_or_error_shows_a_secret_that_was_set", never_shown),
    ("secrecy::what_operators_do_is_written_down_with_and_without_a_launcher", written_down),
    ("secrecy::a_launcher_does_not_start_where_others_could_reach_its_socket", open_folder),
];

/// Commands that look or that are refused, about the agent `a`.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["doctor"],
    &["doctor", "a", "--json"],
    &["check"],
    &["stores", "a", "--json"],
    &["devices", "a"],
    &["devices", "a", "--json"],
    &["trust", "a", "--json"],
    &["recovery", "a"],
    &["verify", "a"],
    &["new", "a"],
];

/// Everything that can be asked for with GET.
const ROUTES: &[&str] = &[
    "/v1/status",
    "/v1/agents/a/stores",
    "/v1/agents/a/devices",
    "/v1/agents/a/doctor",
    "/v1/agents/a/trust",
    "/v1/agents/a/verifications",
];

/// Secrets, and everything that was shown so far.
#[derive(Default)]
struct Watch {
    secrets: Vec<String>,
    shown: Vec<(String, String)>,
}

impl Watch {
    fn see(&mut self, what: impl Into<String>, text: impl AsRef<[u8]>) {
        self.shown.push((what.into(), String::from_utf8_lossy(text.as_ref()).into_owned()));
    }

    fn see_output(&mut self, what: &[&str], output: &Output) {
        self.see(what.join(" "), [output.stdout.as_slice(), &output.stderr].concat());
    }

    fn assert_nothing_is_given_away(&self) {
        for (what, text) in &self.shown {
            for (number, secret) in self.secrets.iter().enumerate() {
                assert!(!text.contains(secret), "{what} shows secret {number}");
            }
        }
    }
}

fn ask(folder: &Path, method: &str, route: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut socket = UnixStream::connect(folder.join(".launcher/control.sock"))?;
    let request = format!(
        "{method} {route} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn never_shown(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let secret = bed.homeserver().registration_shared_secret();
    let name = bed.name("secretive");
    let arguments = ["new", "a", "--homeserver", place.homeserver(), "--username", &name];
    let arguments = [&arguments[..], &["--shared-secret-env", "SECRET", "--json"]].concat();
    let mut watch = Watch::default();
    let made = place.command_with(&arguments, &[("SECRET", secret)])?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    watch.see_output(&["new"], &made);
    drop(place.start_ready(&["a"])?);

    // The recovery key is shown once, on a terminal. Then it is one that was set.
    let page = place.command_on_terminal(&["recovery", "a"])?;
    let key = page.lines().map(str::trim).find(|line| line.starts_with("Es"));
    let key = key.ok_or_else(|| format!("no recovery key in: {page}"))?.to_owned();
    let file = place.agent_folder("a").join("config.yaml");
    let with_key = "encryption:\n  recovery_key: \"${RECOVERY_KEY_A}\"\n";
    fs::write(&file, fs::read_to_string(&file)?.replace("encryption:\n", with_key))?;
    place.set_variable("RECOVERY_KEY_A", &format!("'{key}'"))?;
    let env = fs::read_to_string(place.path().join(".env"))?;
    let values = env.lines().filter_map(|line| line.split_once('=').map(|(_, value)| value));
    watch.secrets = values.map(|value| value.trim_matches('\'').to_owned()).collect();
    watch.secrets.push(secret.to_owned());
    assert_eq!(watch.secrets.len(), 4, "password, pickle key, recovery key, the server's secret");

    let launcher = place.start_ready(&["a"])?;
    for command in COMMANDS {
        watch.see_output(command, &place.command(command)?);
    }
    for route in ROUTES {
        let answer = ask(place.path(), "GET", route)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{route}: {answer}");
        watch.see(*route, answer);
    }
    let again = ask(place.path(), "POST", "/v1/agents/a/recovery-key/show")?;
    assert!(again.starts_with("HTTP/1.1 409"), "{again}");
    watch.see("show again", again);
    watch.see("recovery again", place.command_on_terminal(&["recovery", "a"])?);
    watch.see("the log", launcher.log_text()?);
    assert!(launcher.stop()?.0.success());
    for command in COMMANDS {
        watch.see_output(command, &place.command(command)?);
    }
    // What is wrong with a line is said without what is in it.
    let good = fs::read_to_string(&file)?;
    for broken in ["  pickle_key: [", "  pickle_kay: ", "  pickle_key: x", "  recovery_key: {a: "] {
        let text = good.replace("  pickle_key: \"${PICKLE_KEY_A}\"", &format!("{broken}{key}"));
        assert_ne!(text, good);
        fs::write(&file, text)?;
        for command in [&["check"][..], &["doctor", "a"], &["verify", "a"]] {
            watch.see_output(command, &place.command(command)?);
        }
    }
    fs::write(&file, good)?;
    fs::write(place.path().join(".env"), env.replace("RECOVERY_KEY_A='", "RECOVERY KEY A='"))?;
    for command in [&["check"][..], &["run"], &["new", "b", "--open"]] {
        watch.see_output(command, &place.command(command)?);
    }
    watch.see("the audit log", fs::read(place.path().join(".launcher/audit.jsonl"))?);
    watch.assert_nothing_is_given_away();
    Ok(())
}

/// What is in the audit log: action, agent and outcome of each line.
fn audit(place: &Place) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let path = place.path().join(".launcher/audit.jsonl");
    assert_eq!(mode(&path)?, 0o600);
    let mut found = Vec::new();
    for line in fs::read_to_string(path)?.lines() {
        let line: Value = serde_json::from_str(line)?;
        assert_eq!(line["uid"], rustix::process::geteuid().as_raw(), "{line}");
        assert!(line["pid"].as_u64() > Some(0) && line["time_ms"].as_u64() > Some(0), "{line}");
        let word = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        let subjects = line["subjects"].as_array().cloned().unwrap_or_default();
        let subjects = subjects.iter().filter_map(Value::as_str);
        let words = [word("action"), word("agent"), word("outcome")].into_iter();
        found.push(words.chain(subjects.map(ToOwned::to_owned)).collect::<Vec<_>>().join(" "));
    }
    Ok(found)
}

fn written_down(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "a")?;
    let launcher = place.start_ready(&["a"])?;
    let block = ["trust", "a", "block", "@mallory:localhost"];
    assert!(place.command(&block)?.status.success());
    assert!(place.command(&["reset", "a", "--yes"])?.status.success());
    assert_eq!(place.command(&["backup", "a", "--output", "config.yaml"])?.status.code(), Some(1));
    assert!(place.command(&["status"])?.status.success());
    assert!(launcher.stop()?.0.success());
    let by_launcher = [
        "trust_block a done @mallory:localhost",
        "reset a began",
        "reset a done",
        "backup a began",
        "backup a refused",
    ];
    assert_eq!(audit(&place)?, by_launcher);
    let withdraw = ["trust", "a", "withdraw", "@mallory:localhost"];
    assert!(place.command(&withdraw)?.status.success());
    assert!(place.command(&["stores", "a", "--prune"])?.status.success());
    assert!(place.command(&["stores", "a"])?.status.success());
    let by_commands =
        ["trust_withdraw a done @mallory:localhost", "prune_stores a began", "prune_stores a done"];
    assert_eq!(audit(&place)?, [&by_launcher[..], &by_commands].concat());
    Ok(())
}

fn open_folder(_bed: &Bed) -> Outcome {
    let place = Place::at("http://127.0.0.1:9")?;
    let own = place.path().join(".launcher");
    fs::create_dir(&own)?;
    fs::set_permissions(&own, Permissions::from_mode(0o755))?;
    let refused = place.command(&["run"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("mode is 0755") && said.contains("chmod 700"), "{said}");
    fs::set_permissions(&own, Permissions::from_mode(0o700))?;
    let launcher = place.start()?;
    let mut launcher = launcher;
    launcher.wait_until("the socket", |_| Ok(own.join("control.sock").exists()))?;
    launcher.wait_until("its mode", |_| Ok(mode(&own.join("control.sock"))? == 0o600))?;
    assert_eq!(mode(&own)?, 0o700);
    Ok(())
}
