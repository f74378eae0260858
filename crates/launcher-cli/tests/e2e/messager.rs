//! Agents on Messager: the demonstration, the chat in the terminal, and every
//! command for such an agent.

mod crowd;
pub(crate) mod host;
mod people;
mod wire;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde_json::Value;
use url::Url;

use self::host::{Host, files_with};
use crate::{
    Cases,
    bed::Bed,
    launcher::{Place, pickle_key, variable},
    terminal::typed,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) const CASES: Cases = &[
    (
        "messager::a_demonstration_answers_with_nothing_but_the_binary_and_stores_no_plaintext",
        |_| demonstration(),
    ),
    ("messager::a_demonstration_at_a_terminal_is_a_chat_with_safety_numbers", |_| at_a_terminal()),
    ("messager::a_demonstration_shows_an_agent_of_ones_own_and_leaves_its_data_alone", |_| {
        one_of_ones_own()
    }),
    ("messager::an_agent_answers_in_a_chat_goes_on_after_kills_and_obeys_operators", operated),
    (
        "messager::a_group_of_twenty_that_comes_and_goes_is_answered_once_while_all_is_killed",
        |_| crowd::stays_together(),
    ),
    ("messager::what_cannot_work_parks_an_agent_with_the_way_out", |_| parked()),
];

const WORD: &str = "Rhabarberbarbara";

fn demonstration() -> Result<()> {
    let place = Place::empty("")?;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_launcher"))
        .args(["demo", "--data", "demo"])
        .current_dir(place.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut typed = demo.stdin.take().ok_or("no standard input")?;
    let mut shown = BufReader::new(demo.stdout.take().ok_or("no standard output")?).lines();
    writeln!(typed, "{WORD}")?;
    let answer = shown.find(|line| line.as_ref().is_ok_and(|line| line.contains("echo: echo: ")));
    let answer = answer.ok_or("there was no answer")??;
    assert!(answer.ends_with(&format!("echo: echo: {WORD}")), "{answer}");
    writeln!(typed, "/quit")?;
    assert!(demo.wait()?.success());
    // Neither the server, nor the agent, nor the chat has it in the clear.
    let told = files_with(&place.path().join("demo"), WORD)?;
    assert!(told.is_empty(), "{told:?}");

    // The same again, from what was kept; this time the lines end.
    let output = place.command_with_input(&["demo", "--data", "demo"], "again")?;
    let shown = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && shown.contains("echo: again"), "{shown}");
    assert!(!shown.contains(WORD), "what was said before is not said anew: {shown}");
    Ok(())
}

fn at_a_terminal() -> Result<()> {
    let place = Place::empty("")?;
    let shown = typed(
        &place,
        &["demo"],
        &[
            ("is ready", "hello\r"),
            ("echo: hello", "/safety\r"),
            ("safety number", "/members\r"),
            ("you", "/nonsense\r"),
            ("no such order", "/edit hello there\r"),
            ("changed", "again\r"),
            ("echo: again", "/quit\r"),
        ],
    )?;
    let digits = shown.lines().any(|line| line.chars().filter(char::is_ascii_digit).count() >= 30);
    assert!(digits, "{shown}");
    Ok(())
}

fn one_of_ones_own() -> Result<()> {
    let place = Place::at("https://example.org")?;
    place.write_agent(
        "mine",
        "enabled: false\nmatrix: { user_id: \"@mine:example.org\", password: \"${UNSET}\" }\n\
         encryption: { pickle_key: \"${UNSET_TOO}\" }\nbehavior: { echo: { prefix: \"mine: \" } }\n",
    )?;
    let output = place.command_with_input(&["demo", "--agent", "mine"], "hello")?;
    let shown = String::from_utf8(output.stdout)?;
    assert!(shown.contains("mine: hello"), "{shown}{}", String::from_utf8(output.stderr)?);
    assert!(!place.agent_folder("mine").join("data").exists());

    let output = place.command_with_input(&["demo", "--agent", "other"], "hello")?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("there is no agent `other`"));
    Ok(())
}

/// An agent on this server.
pub(crate) fn agent(place: &Place, server: &Url, id: &str, token: &str, more: &str) -> Result<()> {
    let token_variable = format!("MESSAGER_TOKEN_{}", id.to_ascii_uppercase());
    place.set_variable(&variable(id), &pickle_key(id))?;
    place.set_variable(&token_variable, token)?;
    let key = variable(id);
    place.write_agent(
        id,
        &format!(
            "messager: {{ server: \"{server}\", token: \"${{{token_variable}}}\" }}\n\
             encryption: {{ pickle_key: \"${{{key}}}\" }}\n\
             behavior: {{ echo: {{ prefix: \"echo: \" }} }}\n{more}"
        ),
    )
}

/// Says a line in a chat with an agent, and returns what was shown when the
/// answer had come.
fn say(place: &Place, host: &Host, token: &str, line: &str) -> Result<String> {
    let mut chat = place
        .prepare(
            &["chat", "echo", "--server", host.url().as_str(), "--token-env", "TOKEN"],
            &[("TOKEN", token), ("XDG_DATA_HOME", place.path().join("home").to_str().unwrap())],
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut typed = chat.stdin.take().ok_or("no standard input")?;
    writeln!(typed, "{line}")?;
    let mut shown = String::new();
    let lines = BufReader::new(chat.stdout.take().ok_or("no standard output")?).lines();
    for text in lines {
        let text = text?;
        shown.push_str(&text);
        shown.push('\n');
        if text.contains(&format!("echo: {line}")) {
            break;
        }
    }
    writeln!(typed, "/quit")?;
    assert!(chat.wait()?.success(), "{shown}");
    Ok(shown)
}

fn operated(_: &Bed) -> Result<()> {
    let mut host = Host::start()?;
    let place = Place::at("https://example.org")?;
    agent(&place, &host.url(), "echo", &host.device("echo")?, "")?;
    let alice = host.device("alice")?;

    let launcher = place.start_ready(&["echo"])?;
    say(&place, &host, &alice, WORD)?;
    let status = launcher.agent_status("echo")?;
    assert_eq!((&status["state"], &status["answered"]), (&"running".into(), &1.into()), "{status}");
    let device = status["device_id"].clone();
    // The launcher is killed, and the server as well.
    drop(launcher);
    host.kill()?;
    host.start_again()?;
    let launcher = place.start_ready(&["echo"])?;
    let shown = say(&place, &host, &alice, "second")?;
    assert!(!shown.contains(WORD), "what was answered is not answered again: {shown}");
    let status = launcher.agent_status("echo")?;
    assert_eq!(status["device_id"], device, "it is the same device: {status}");

    for command in [
        &["check"][..],
        &["status", "--json"],
        &["doctor", "echo", "--json"],
        &["trust", "echo", "--json"],
        &["devices", "echo", "--json"],
        &["stores", "echo", "--json"],
        &["invites", "list", "--json"],
    ] {
        let output = place.command(command)?;
        let (shown, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        assert!(output.status.success(), "{command:?}: {shown}{said}");
        assert!(!format!("{shown}{said}").contains(&alice), "{command:?}");
    }
    let doctor: Value = serde_json::from_slice(&place.command(&["doctor", "--json"])?.stdout)?;
    assert!(doctor.to_string().contains("device_keys"), "{doctor}");

    let me = host.client(&alice)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let rooms = runtime.block_on(me.rooms())?;
    let room = rooms.first().ok_or("there is no room")?.id.to_string();
    let sent = place.command_with_input(&["send", "echo", &room, "--key", "k"], "from a script")?;
    assert!(sent.status.success(), "{}", String::from_utf8(sent.stderr)?);
    let shown = say(&place, &host, &alice, "third")?;
    assert_eq!(shown.matches("from a script").count(), 1, "{shown}");

    for word in [WORD, "second", "from a script"] {
        assert_eq!(host.files_with(word)?, Vec::<std::path::PathBuf>::new());
        assert_eq!(files_with(&place.agent_folder("echo").join("data"), word)?.len(), 0);
        assert!(!launcher.log_text()?.contains(word));
    }
    launcher.stop()?;
    Ok(())
}

fn parked() -> Result<()> {
    let host = Host::start()?;
    let place = Place::at("https://example.org")?;
    // A token that is mistyped the first time is not kept.
    let server = host.url().to_string();
    let chat = ["chat", "--server", &server, "--token-env", "TOKEN", "--data", "chat"];
    let refused = place.command_with(&chat, &[("TOKEN", "mistyped")])?;
    assert!(String::from_utf8(refused.stderr)?.contains("does not know the token"));
    let token = host.device("ann")?;
    let taken = place.command_with(&chat, &[("TOKEN", &token)])?;
    assert!(taken.status.success(), "{}", String::from_utf8(taken.stderr)?);
    // A script learns that what it said was not sent.
    let unsaid = place.command_with_input(&["chat", "--data", "chat"], "to nobody")?;
    assert_eq!(unsaid.status.code(), Some(1), "{}", String::from_utf8(unsaid.stdout)?);

    let token = host.device("lost")?;
    agent(&place, &host.url(), "wrong", "not-a-token", "")?;
    agent(&place, &host.url(), "lost", &token, "")?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_parked", "wrong")?;
    let status = launcher.wait_for_state("wrong", "parked")?;
    assert!(status["reason"].as_str().unwrap().starts_with("token_invalid"), "{status}");
    assert!(status["action"].as_str().unwrap().contains("messager.token"), "{status}");
    launcher.wait_for_state("lost", "running")?;
    launcher.stop()?;

    // The store is gone: the device cannot have other keys.
    fs_err::remove_dir_all(place.agent_folder("lost").join("data/crypto"))?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_parked", "lost")?;
    let status = launcher.wait_for_state("lost", "parked")?;
    assert!(status["action"].as_str().unwrap().contains("messager account add"), "{status}");
    for (order, reason) in [
        (&["reset", "lost", "--yes"][..], "a token is a device"),
        (&["verify", "lost"], "not signed in Messager"),
    ] {
        let refused = place.command(order)?;
        let said = String::from_utf8(refused.stderr)?;
        assert!(!refused.status.success() && said.contains(reason), "{order:?}: {said}");
    }
    // Another device of the same account is the way out.
    agent(&place, &host.url(), "lost", &host.device("lost")?, "")?;
    launcher.wait_for_state("lost", "running")?;
    launcher.stop()?;
    Ok(())
}
