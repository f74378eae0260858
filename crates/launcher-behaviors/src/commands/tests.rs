//! Real programs, run as in a room.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use launcher_core::{
    conversation::MessageKind,
    names::{EventId, RoomId, UserId},
    spec::Requirement,
    trust::Assurance,
};
use tempfile::TempDir;

use launcher_runtime::ports::Action;

use super::*;
use crate::props::Props;

fn command(run: &[&str]) -> CommandSpec {
    CommandSpec {
        run: run.iter().map(ToString::to_string).collect(),
        users: vec!["*".into()],
        require: Requirement::Trusted,
        timeout: Duration::from_secs(30),
    }
}

fn message(body: &str, assurance: Assurance) -> Message {
    Message {
        room: RoomId::new("!r:hs"),
        event: EventId::new("$e"),
        sender: UserId::new("@alice:hs"),
        kind: MessageKind::Text,
        body: body.into(),
        age: Duration::ZERO,
        automated: false,
        thread: None,
        in_reply_to: None,
        target: None,
        mentions: Vec::new(),
        direct: false,
        media: None,
        assurance,
    }
}

/// Sends a message for the `attempt`th time. `None`: no answer.
async fn send(folder: &Path, command: CommandSpec, body: &str, attempt: u32) -> Option<String> {
    let commands = BTreeMap::from([("!do".to_owned(), command)]);
    let behavior = Commands::new(commands, folder.to_owned());
    let props = Props { attempt, ..Props::default() };
    let asked = behavior.on_message(&message(body, Assurance::Signed), &props).await;
    let mut actions = asked.unwrap()?.actions;
    assert_eq!(actions.len(), 1);
    match actions.pop() {
        Some(Action::Say { text }) => Some(text),
        other => panic!("{other:?}"),
    }
}

async fn answer_to(command: CommandSpec) -> String {
    let folder = TempDir::new().unwrap();
    send(folder.path(), command, "!do", 1).await.unwrap()
}

async fn say(run: &[&str]) -> String {
    answer_to(command(run)).await
}

#[tokio::test]
async fn the_answer_is_what_the_command_wrote() {
    assert_eq!(say(&["printf", r"a\nb\n"]).await, "```\na\nb\n```");
    assert_eq!(say(&["true"]).await, "no output");
}

#[tokio::test]
async fn no_shell_sees_the_arguments() {
    let text = say(&["printf", "%s|", "$HOME", "a b", "; ls", "`id`", "*"]).await;
    assert_eq!(text, "```\n$HOME|a b|; ls|`id`|*|\n```");
}

#[tokio::test]
async fn the_block_is_not_ended_by_what_is_in_it() {
    assert_eq!(say(&["printf", "a\n```\nb"]).await, "````\na\n```\nb\n````");
}

#[tokio::test]
async fn an_end_that_is_not_well_is_told() {
    assert_eq!(say(&["false"]).await, "no output\nexit status 1");
    let text = say(&["cat", "no-such-file"]).await;
    assert!(text.contains("no-such-file"), "{text}");
    assert!(text.ends_with("\n```\nexit status 1"), "{text}");
    // It ends itself with the signal that it was told to send.
    let text = say(&["timeout", "--signal=KILL", "0.1", "sleep", "30"]).await;
    assert_eq!(text, "no output\nended by signal 9");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let text = say(&["no-such-program-here"]).await;
    assert!(text.starts_with("`!do` could not be started: No such file"), "{text}");
}

#[tokio::test]
async fn a_command_runs_in_its_folder_and_without_input() {
    let folder = TempDir::new().unwrap();
    let there = folder.path().canonicalize().unwrap();
    let said = send(&there, command(&["pwd", "-P"]), "!do", 1).await.unwrap();
    assert_eq!(said, format!("```\n{}\n```", there.display()));
    std::os::unix::fs::symlink("/bin/cat", there.join("own")).unwrap();
    assert_eq!(send(&there, command(&["./own"]), "!do", 1).await.unwrap(), "no output");
}

#[tokio::test]
async fn only_four_variables_are_inherited() {
    // Cargo sets some for its tests, so there is something to inherit.
    assert!(std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("CARGO")));
    let text = say(&["env"]).await;
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains(&"PATH"), "{text}");
    assert!(names.iter().all(|name| ["PATH", "LANG", "HOME", "TZ"].contains(name)), "{text}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_open_file_is_inherited() {
    let folder = TempDir::new().unwrap();
    let _held = std::fs::File::create(folder.path().join("held")).unwrap();
    let list = command(&["ls", "-l", "/proc/self/fd"]);
    let text = send(folder.path(), list, "!do", 1).await.unwrap();
    assert!(text.contains("0 -> /dev/null"), "{text}");
    assert!(!text.contains("held"), "{text}");
}

#[tokio::test]
async fn output_over_the_bound_is_cut_and_the_command_is_not_held_up() {
    let text = say(&["head", "-c", "1000000", "/dev/zero"]).await;
    assert_eq!(text, "no output\nthere was more output than can be shown");
    let text = say(&["seq", "1", "100000"]).await;
    assert!(text.starts_with("```\n1\n2\n3\n"), "{text}");
    assert!(text.ends_with("\n```\nthere was more output than can be shown"), "{text}");
    assert!((30_000..33_000).contains(&text.len()), "{}", text.len());
}

#[tokio::test]
async fn output_that_is_no_text_becomes_text() {
    assert_eq!(say(&["printf", r"a\377b\033[1mc\r\n"]).await, "```\na\u{fffd}b[1mc\n```");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended() {
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let slow = CommandSpec { timeout: limit, ..command(&["sleep", "30"]) };
    assert_eq!(answer_to(slow).await, "no output\ntimed out after 0.3 s and was ended");
    let endless = CommandSpec { timeout: limit, ..command(&["yes"]) };
    let text = answer_to(endless).await;
    assert!(text.starts_with("```\ny\ny\n"), "{text}");
    assert!(text.ends_with("timed out after 0.3 s and was ended"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// A command that starts another one, in its own group, and an argument by
/// which that can be found.
fn parent() -> (CommandSpec, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("60.{}{count:02}", std::process::id());
    (command(&["timeout", "--foreground", "50", "sleep", &mark]), mark)
}

/// Whether a `sleep` with this argument is running.
fn is_running(mark: &str) -> bool {
    let wanted = format!("sleep\0{mark}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_command_has_started_is_ended_with_it() {
    let (parent, mark) = parent();
    let slow = CommandSpec { timeout: Duration::from_secs(2), ..parent };
    let answer = answer_to(slow);
    let (text, ()) = tokio::join!(answer, until("it is started", || is_running(&mark)));
    assert_eq!(text, "no output\ntimed out after 2 s and was ended");
    until("it is ended", || !is_running(&mark)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_that_is_cut_off_is_ended_with_all_it_has_started() {
    let (parent, mark) = parent();
    tokio::select! {
        text = answer_to(parent) => panic!("{text}"),
        () = until("it is started", || is_running(&mark)) => {}
    }
    until("it is ended", || !is_running(&mark)).await;
}

#[tokio::test]
async fn a_command_is_not_run_a_second_time() {
    let folder = TempDir::new().unwrap();
    let touch = || command(&["touch", "done"]);
    for attempt in [2, 3, 10] {
        let text = send(folder.path(), touch(), "!do", attempt).await.unwrap();
        assert!(text.starts_with("I was interrupted while `!do` ran"), "{text}");
        assert!(!folder.path().join("done").exists());
    }
    assert_eq!(send(folder.path(), touch(), "!do", 1).await.unwrap(), "no output");
    assert!(folder.path().join("done").exists());
}

#[tokio::test]
async fn what_is_refused_is_not_run() {
    let folder = TempDir::new().unwrap();
    let touch = command(&["touch", "done"]);
    let others = CommandSpec { users: vec!["@bob:hs".into()], ..touch.clone() };
    let strict = CommandSpec { require: Requirement::Verified, ..touch.clone() };
    for (command, body, said) in [
        (others, "!do", "I do not run `!do` for you"),
        (strict, "!do", "`!do` was not run: this needs a verified sender"),
        (touch.clone(), "!do it", "`!do` was not run: it takes no arguments"),
    ] {
        let text = send(folder.path(), command, body, 1).await.unwrap();
        assert!(text.starts_with(said), "{text}");
    }
    assert_eq!(send(folder.path(), touch, "do", 1).await, None);
    assert!(!folder.path().join("done").exists());
}
