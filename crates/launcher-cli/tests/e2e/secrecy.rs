//! What was set is never shown again, and what operators do is written down.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Output,
};

use launcher_testbed::{DEFAULT_TIMEOUT, RoomOptions, testbed_root};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    Cases, Outcome,
    asked::{bare, parked_agent},
    bed::{Bed, PASSWORD},
    launcher::{Place, mode, pickle_key},
    messager::{self, host::Host},
    observing::{address, get, watched},
};

pub(crate) const CASES: Cases = &[
    ("secrecy::no_command_route_log_or_error_shows_a_secret_that_was_set", never_shown),
    ("secrecy::no_command_or_log_shows_a_token_or_a_key_of_messager", |_| on_messager()),
    ("secrecy::what_operators_do_is_written_down_once_with_and_without_a_launcher", written_down),
    ("secrecy::a_launcher_does_not_start_where_others_could_reach_its_socket", open_folder),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Commands that look or that are refused, about the agent `a`: some for each
/// command in the reference.
const COMMANDS: &[&[&str]] = &[
    &["acknowledge", "a", "--note", "x"],
    &["backup", "a", "--output", "config.yaml"],
    &["backup", "a", "--output", "a.backup", "--json"],
    &["chat", "--data", "chat"],
    &["check"],
    &["completions", "bash"],
    &["demo", "--agent", "nobody"],
    &["devices", "a"],
    &["devices", "a", "--json"],
    &["doctor"],
    &["doctor", "a", "--json"],
    &["explain"],
    &["explain", "token_invalid"],
    &["invites"],
    &["invites", "a", "--json"],
    &["invites", "list", "a"],
    &["invites", "a", "accept", "!r:localhost"],
    &["invites", "a", "reject", "!r:localhost"],
    &["invites", "a", "rooms"],
    &["invites", "a", "leave", "!r:localhost"],
    &["invites", "a", "dm", "nobody"],
    &["invites", "a", "room"],
    &["invites", "a", "prompt"],
    &["man"],
    &["new", "a"],
    &["recovery", "a"],
    &["recovery", "a", "--set"],
    &["rekey", "a"],
    &["reset", "a"],
    &["restore", "a.backup"],
    &["run", "--only", "nobody"],
    &["send", "a", "!r:localhost"],
    &["status"],
    &["status", "--json"],
    &["stores", "a"],
    &["stores", "a", "--json"],
    &["trust", "a"],
    &["trust", "a", "--json"],
    &["trust", "a", "approve", "@nobody:localhost"],
    &["verify", "a"],
    &["verify", "a", "--requests"],
];

/// What a page of the documentation has between these at the beginning of lines.
fn listed(page: &str, before: &str, after: char) -> Result<Vec<String>> {
    let page = fs::read_to_string(testbed_root().join("docs").join(page))?;
    let found = page.lines().filter_map(|line| line.strip_prefix(before)?.split(after).next());
    Ok(found.map(ToOwned::to_owned).collect())
}

/// Everything that can be asked for with GET over the socket, about the agent `a`.
fn routes() -> Result<Vec<String>> {
    let routes = listed("reference/control-api.md", "| `GET ", '`')?;
    assert!(routes.len() >= 9, "{routes:?}");
    Ok(routes.into_iter().map(|route| route.replace("{id}", "a")).collect())
}

/// Fails if a command of the reference is not among [`COMMANDS`].
fn assert_every_command_is_seen() -> Outcome {
    let page = "reference/commands.md";
    let commands = [listed(page, "## launcher ", '\n')?, listed(page, "### launcher ", '\n')?];
    assert!(commands[0].len() >= 19 && commands[1].len() >= 8, "{commands:?}");
    for name in commands.iter().flatten() {
        let is_seen = |command: &&[&str]| name.split(' ').all(|word| command.contains(&word));
        assert!(COMMANDS.iter().any(is_seen), "`launcher {name}` is not looked at");
    }
    Ok(())
}

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

fn ask(folder: &Path, method: &str, route: &str) -> Result<String> {
    let mut socket = UnixStream::connect(folder.join(".launcher/control.sock"))?;
    let request = format!(
        "{method} {route} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// How every token of this account begins. Nobody but the launcher and the
/// homeserver knows the agent's own.
fn beginnings_of_tokens(bed: &Bed, user: &str, password: &str) -> Result<Vec<String>> {
    let token = bed.homeserver().login(user, password)?.access_token;
    let name = token.strip_prefix("syt_").and_then(|rest| rest.split('_').next());
    let name = name.filter(|name| !name.is_empty()).ok_or("another homeserver?")?;
    Ok(vec![format!("syt_{name}"), format!("syr_{name}")])
}

fn never_shown(bed: &Bed) -> Outcome {
    assert_every_command_is_seen()?;
    let place = watched(bed)?;
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
    let password =
        watch.secrets.iter().find(|secret| env.contains(&format!("PASSWORD_A={secret}")));
    let password = password.ok_or("no password")?.clone();
    watch.secrets.extend(beginnings_of_tokens(bed, &name, &password)?);

    let mut launcher = place.start_ready(&["a"])?;
    for command in COMMANDS {
        watch.see_output(command, &bare(&place, command).output()?);
    }
    launcher.wait_for_state("a", "running")?;
    for route in routes()? {
        let answer = ask(place.path(), "GET", &route.replace("{number}", "1"))?;
        // There is no verification to look at.
        let status = if route.contains("{number}") { "409" } else { "200" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{route}: {answer}");
        watch.see(route, answer);
    }
    let at = address(&mut launcher)?;
    let served = listed("guide/monitoring.md", "| `/", '`')?;
    assert!(served.len() >= 3, "{served:?}");
    for route in served {
        let (status, answer) = get(&at, &format!("/{route}"))?;
        assert_eq!(status, 200, "/{route}: {answer}");
        watch.see(route, answer);
    }
    let again = ask(place.path(), "POST", "/v1/agents/a/recovery-key/show")?;
    assert!(again.starts_with("HTTP/1.1 409"), "{again}");
    watch.see("show again", again);
    watch.see("recovery again", place.command_on_terminal(&["recovery", "a"])?);
    watch.see("the log", launcher.log_text()?);
    assert!(launcher.stop()?.0.success());
    for command in COMMANDS {
        watch.see_output(command, &bare(&place, command).output()?);
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

/// What is kept under these names anywhere in the JSON of a folder.
fn kept(folder: &Path, names: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(kept(&path, names)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let value: Value = serde_json::from_slice(&fs::read(path)?)?;
            found.extend(names.iter().filter_map(|name| Some(value[name].as_str()?.to_owned())));
        }
    }
    Ok(found)
}

fn on_messager() -> Outcome {
    let host = Host::start()?;
    let place = Place::at("https://example.org")?;
    let (own, hers, revoked) = (host.device("a")?, host.device("ann")?, host.device("gone")?);
    messager::agent(&place, &host.url(), "a", &own, "")?;
    let secrets = vec![own, hers.clone(), revoked.clone(), pickle_key("a")];
    let mut watch = Watch { secrets, shown: Vec::new() };
    let server = host.url().to_string();
    let begin = ["chat", "a", "--server", &server, "--token-env", "TOKEN", "--data"];
    let chat = |folder: &'static str| [&begin[..], &[folder]].concat();
    let lives = host.client(&revoked)?;
    let device = Runtime::new()?.block_on(lives.me())?.device;
    host.revoke("gone", device.as_str())?;

    let mut launcher = place.start_ready(&["a"])?;
    for (arguments, token) in [
        (chat("chat"), hers.as_str()),
        (chat("gone"), &revoked),
        (chat("mangled"), &format!("{hers}\n")),
        (chat("mangled"), &format!("{hers}ä")),
        ([&chat("mangled")[..], &["--server", "http://127.0.0.1:1"]].concat(), &hers),
    ] {
        watch.see_output(&arguments, &place.command_with(&arguments, &[("TOKEN", token)])?);
    }
    watch.secrets.extend(kept(&place.path().join("chat"), &["pickle_key"])?);
    assert_eq!(watch.secrets.len(), 5, "three tokens, the agent's key and the chat's");
    for command in COMMANDS {
        watch.see_output(command, &bare(&place, command).output()?);
    }
    let lines = "hello\n/devices\n/members\n/safety\n/rooms\n";
    watch.see("a chat", place.command_with_input(&["chat", "a", "--data", "chat"], lines)?.stdout);
    launcher.wait_for_state("a", "running")?;
    watch.see("the log", launcher.log_text()?);
    assert!(launcher.stop()?.0.success());
    // What a demonstration makes for itself is not shown either.
    let demo = place.command_with_input(&["demo", "--data", "demo"], lines)?;
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    watch.see_output(&["demo"], &demo);
    let made = kept(&place.path().join("demo"), &["token", "pickle_key"])?;
    assert_eq!(made.len(), 4, "of the agent and of the person");
    watch.secrets.extend(made);
    // A damaged file is named and not shown.
    let file = place.path().join("chat/account.json");
    fs::write(&file, &fs::read(&file)?[1..])?;
    watch.see_output(&["chat"], &place.command(&["chat", "a", "--data", "chat"])?);
    watch.assert_nothing_is_given_away();
    Ok(())
}

/// What is in the audit log: action, agent and outcome of each line.
fn audit(place: &Place) -> Result<Vec<String>> {
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

/// The names at the beginnings of the tables about the audit log.
fn announced() -> Result<Vec<String>> {
    let page = fs::read_to_string(testbed_root().join("docs/operations/security.md"))?;
    let (_, section) = page.split_once("## The audit log").ok_or("no section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    Ok(rows.flat_map(|names| names.split('`').step_by(2).map(ToOwned::to_owned)).collect())
}

/// Orders one after the other, and what is in the audit log after each.
struct Orders<'a> {
    place: &'a Place,
    lines: Vec<String>,
    /// The actions that have a line when they begin, by the documentation.
    announced: Vec<String>,
}

impl Orders<'_> {
    /// Gives an order that has to end so, and that writes this line and no other
    /// one. Returns what it printed.
    fn give(&mut self, order: &[&str], input: &str, status: i32, line: &str) -> Result<String> {
        let output = self.place.command_with_input(order, input)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{order:?}: {said}");
        let shown = String::from_utf8(output.stdout)?;
        // Rooms that the order makes are known by what it prints.
        let json: Value = serde_json::from_str(&shown).unwrap_or_default();
        let room = json["room_id"].as_str().unwrap_or_default();
        self.expect(line.replace("{made}", room))?;
        Ok(shown)
    }

    /// Expects this line and no other new one but, where there is to be one, that
    /// it began.
    fn expect(&mut self, line: String) -> Outcome {
        let mut lines = audit(self.place)?;
        let new = lines.split_off(self.lines.len());
        assert_eq!(lines, self.lines);
        let words: Vec<&str> = line.split(' ').collect();
        let is_announced = self.announced.iter().any(|action| *action == words[0]);
        let (end, began) = new.split_last().ok_or_else(|| format!("no line for {line}"))?;
        assert_eq!((end, began.len()), (&line, usize::from(is_announced)), "{began:?}");
        let began_so = format!("{} {} began", words[0], words[1]);
        assert!(began.iter().all(|began| began.starts_with(&began_so)), "{began:?}");
        self.lines.extend(new);
        Ok(())
    }

    fn done(&mut self, order: &[&str], line: &str) -> Result<String> {
        self.give(order, "", 0, line)
    }
}

fn written_down(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = bed.homeserver().register_without_login(&bed.name("a"), PASSWORD)?;
    place.agent_for(
        "a",
        &agent,
        &format!("password: \"{PASSWORD}\""),
        "invites: { from: [] }\n",
    )?;
    parked_agent(bed, &place, "shut")?;
    let alice = bed.person("alice")?;
    let invite = || alice.create_room(RoomOptions::encrypted().invite(&agent));
    let (user, device, wanted, unwanted) =
        (alice.user_id(), alice.device_id(), invite()?, invite()?);
    let mut launcher = place.start_ready(&["a"])?;
    launcher.wait_for_state("shut", "parked")?;
    launcher.wait_until("both invitations wait", |_| {
        let waiting = place.command(&["invites", "a", "--json"])?.stdout;
        let waiting: Value = serde_json::from_slice(&waiting)?;
        Ok(waiting["agents"][0]["invites"].as_array().map(Vec::len) == Some(2))
    })?;
    assert!(!place.path().join(".launcher/audit.jsonl").exists(), "that was only a look");

    let mut orders = Orders { place: &place, lines: Vec::new(), announced: announced()? };
    let about = |action: &str, subject: &str| format!("{action} a done {subject}");
    orders.done(&["invites", "a", "accept", &wanted], &about("invite_accept", &wanted))?;
    orders.done(&["invites", "a", "reject", &unwanted], &about("invite_reject", &unwanted))?;
    alice.wait_for_member(&wanted, &agent, "join", DEFAULT_TIMEOUT)?;
    let send = ["send", "a", &wanted];
    orders.give(&send, "the code is 17", 0, &about("send_message", &wanted))?;
    orders.done(&["invites", "a", "room", "Ops", "--json"], &about("room_make", "{made}"))?;
    // It goes on to look how far the chat is; that is no order.
    let absent = bed.homeserver().register_without_login(&bed.name("absent"), PASSWORD)?;
    let direct = ["invites", "a", "dm", &absent, "--wait", "2s", "--json"];
    orders.give(&direct, "", 1, &about("direct_open", &format!("{absent} {{made}}")))?;
    orders.done(&["trust", "a", "approve", user], &about("trust_approve", user))?;
    let both = format!("{user} {device}");
    orders.done(&["trust", "a", "block", user, device], &about("trust_block", &both))?;
    orders.done(&["trust", "a", "withdraw", user], &about("trust_withdraw", user))?;
    orders.done(&["invites", "a", "leave", &wanted], &about("room_leave", &wanted))?;
    let refused = ["invites", "a", "leave", "!no:localhost"];
    orders.give(&refused, "", 1, "room_leave a refused !no:localhost")?;
    orders.done(&["acknowledge", "shut"], "acknowledge shut done")?;
    let page = place.command_on_terminal(&["recovery", "a"])?;
    let key = page.lines().map(str::trim).find(|line| line.starts_with("Es"));
    let key = key.ok_or_else(|| format!("no recovery key in: {page}"))?;
    orders.expect("show_recovery_key a done".to_owned())?;
    orders.give(&["recovery", "a", "--set"], key, 0, "set_recovery_key a done")?;
    orders.done(&["rekey", "a", "--generate"], "begin_rekey a done")?;
    orders.done(&["backup", "a", "--output", "a.backup"], "backup a done")?;
    orders.give(&["backup", "a", "--output", "a.backup"], "", 1, "backup a refused")?;
    orders.done(&["verify", "a"], "restart a done")?;
    orders.done(&["reset", "a", "--yes"], "reset a done")?;
    orders.done(&["stores", "a", "--prune"], "prune_stores a done")?;
    orders.done(&["devices", "a", "--prune-stale"], "prune_devices a done")?;
    for look in ["stores", "devices", "trust", "doctor"] {
        assert!(place.command(&[look, "a"])?.status.success(), "{look}");
    }
    assert!(launcher.stop()?.0.success());

    // Without a launcher the commands write it down themselves.
    orders.done(&["trust", "a", "withdraw", user], &about("trust_withdraw", user))?;
    orders.done(&["stores", "a", "--prune"], "prune_stores a done")?;
    assert!(place.command(&["stores", "a"])?.status.success());
    fs::rename(place.agent_folder("a"), place.path().join("moved-away"))?;
    orders.done(&["restore", "a.backup"], "restore a done")?;
    let text = fs::read_to_string(place.path().join(".launcher/audit.jsonl"))?;
    assert!(!text.contains("the code is 17") && !text.contains(key), "{text}");
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
