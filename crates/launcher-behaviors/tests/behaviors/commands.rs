//! Real programs, run as in a room.

use std::{collections::BTreeMap, path::Path, time::Duration};

use launcher_behaviors::Commands;
use launcher_core::{
    commands::parameter::{Parameter, ParameterKind, Pattern},
    conversation::{Message, MessageKind},
    names::UserId,
    secret::Secret,
    spec::{CommandSpec, Confirmation, OutputForm, Requirement, StatusShown},
    trust::Assurance,
};
use launcher_runtime::ports::{Action, Answered, Behavior as _, outbox::Attachment};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::{
    agents::message,
    case,
    processes::{mark, until, with_argument},
    props::Props,
};

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("the answer is what the command wrote", what_it_wrote),
        case("an end that is not well is told, and a good one if that is wanted", ends),
        case("what people write becomes one argument each", arguments),
        case("output over the bound is cut and the command is not held up", much_output),
        case("output that is no text becomes text, or a file", odd_output),
        case("long output can be a file", file),
        case("a command that takes too long is ended with what it has started", too_long),
        case("a command that is cut off is ended with what it has started", cut_off),
        case("a command gets its variables and its folder", variables_and_folder),
        case("a command that was started is not run again", not_twice),
        case("a command that is refused is not run", refused),
        case("a command that has to be confirmed runs when somebody agrees", confirmed),
        case("a question is another one when something else would be run", other_question),
        case("what an agent does by itself needs no user", by_itself),
        case("a command runs as often at once as it may", at_once),
        case("a fork bomb in a command is ended with it", bomb),
    ]
}

async fn send_to(
    folder: &Path,
    command: CommandSpec,
    message: &Message,
    props: &Props,
) -> Option<Action> {
    let commands = BTreeMap::from([("!do".to_owned(), command)]);
    let behavior = Commands::new(commands, folder.to_owned());
    let response = behavior.on_message(message, props).await.unwrap()?;
    assert_eq!((response.actions.len(), response.memories.len()), (1, 0));
    response.actions.into_iter().next()
}

/// What is said about a message.
async fn send(folder: &Path, command: CommandSpec, body: &str) -> String {
    text(send_to(folder, command, &message("$e", body), &Props::default()).await)
}

fn text(action: Option<Action>) -> String {
    match action {
        Some(Action::Say { text }) => text,
        other => panic!("{other:?}"),
    }
}

async fn answer_to(command: CommandSpec) -> String {
    send(TempDir::new().unwrap().path(), command, "!do").await
}

async fn say(run: &[&str]) -> String {
    answer_to(CommandSpec::running(run)).await
}

async fn what_it_wrote() {
    assert_eq!(say(&["printf", r"a\nb\n"]).await, "```\na\nb\n```");
    assert_eq!(say(&["true"]).await, "no output");
    assert_eq!(say(&["printf", "a\n```\nb"]).await, "````\na\n```\nb\n````");
    let text = CommandSpec { output: OutputForm::Text, ..CommandSpec::running(&["echo", "**a**"]) };
    assert_eq!(answer_to(text).await, "**a**");
}

async fn ends() {
    assert_eq!(say(&["false"]).await, "no output\nexit status 1");
    let text = say(&["cat", "no-such-file"]).await;
    assert!(text.contains("no-such-file") && text.ends_with("\n```\nexit status 1"), "{text}");
    assert_eq!(say(&["sh", "-c", "kill -KILL $$"]).await, "no output\nended by signal 9");
    let text = say(&["no-such-program-here"]).await;
    assert!(text.starts_with("`!do` could not be started: No such file"), "{text}");
    let always = CommandSpec { status: StatusShown::Always, ..CommandSpec::running(&["true"]) };
    assert_eq!(answer_to(always).await, "no output\nexit status 0");
}

async fn arguments() {
    let text =
        ParameterKind::Text { pattern: Some(Pattern::new("[^x]*").unwrap()), leading_dash: false };
    let parameter = |name: &str, kind: ParameterKind| Parameter {
        name: name.into(),
        kind,
        optional: false,
        default: None,
    };
    let rest = ParameterKind::Rest { leading_dash: false };
    let command = CommandSpec {
        parameters: vec![parameter("one", text), parameter("more", rest)],
        ..CommandSpec::running(&["printf", "%s|", "{one}", "--more={more}"])
    };
    let folder = TempDir::new().unwrap();
    for (body, said) in [
        ("!do a b", "```\na|--more=b|\n```"),
        ("!do \"a b\" $HOME; `id` *", "```\na b|--more=$HOME; `id` *|\n```"),
        ("!do ';rm -rf /' --help", "`!do` was not run: `more` may not begin with `-`."),
        ("!do --help b", "`!do` was not run: `one` may not begin with `-`."),
        ("!do x b", "`!do` was not run: `one` has to match `[^x]*`."),
        ("!do", "`!do` was not run: `one` is missing."),
    ] {
        let text = send(folder.path(), command.clone(), body).await;
        assert!(text.starts_with(said), "{body}: {text}");
    }
}

async fn much_output() {
    let text = say(&["head", "-c", "1000000", "/dev/zero"]).await;
    assert_eq!(text, "no output\nthere was more output than can be shown");
    let text = say(&["seq", "1", "100000"]).await;
    assert!(text.starts_with("```\n1\n2\n3\n"), "{text}");
    assert!(text.ends_with("\n```\nthere was more output than can be shown"), "{text}");
    assert!((30_000..33_000).contains(&text.len()), "{}", text.len());
}

async fn odd_output() {
    let run = ["printf", r"a\377b\033[1mc\r\n"];
    assert_eq!(say(&run).await, "```\na\u{fffd}b[1mc\n```");
    let file = CommandSpec { output: OutputForm::File, ..CommandSpec::running(&run) };
    assert_eq!(file_of(file).await.bytes, b"a\xffb\x1b[1mc\r\n");
}

async fn file_of(command: CommandSpec) -> Attachment {
    let folder = TempDir::new().unwrap();
    let sent = send_to(folder.path(), command, &message("$e", "!do"), &Props::default()).await;
    match sent {
        Some(Action::File(file)) => file,
        other => panic!("{other:?}"),
    }
}

async fn file() {
    let command =
        |run: &[&str]| CommandSpec { output: OutputForm::File, ..CommandSpec::running(run) };
    let file = file_of(command(&["sh", "-c", "seq 1 5000; exit 3"])).await;
    assert_eq!((file.name.as_str(), file.content_type.as_str()), ("do.txt", "text/plain"));
    assert!(file.bytes.ends_with(b"\n5000\n"));
    assert_eq!(file.caption.as_deref(), Some("exit status 3"));
    let endless = file_of(command(&["head", "-c", "9000000", "/dev/zero"])).await;
    assert_eq!(endless.bytes.len(), 8 << 20);
    let caption = "there was more output than fits into the file";
    assert_eq!(endless.caption.as_deref(), Some(caption));
    assert_eq!(answer_to(command(&["echo", "short"])).await, "```\nshort\n```");
}

async fn too_long() {
    let timeout = Duration::from_millis(300);
    let (mark, slow) = family();
    let slow = CommandSpec { timeout: Duration::from_secs(2), ..slow };
    let running = until("it is started", || with_argument(&mark).len() == 2);
    let (text, ()) = tokio::join!(answer_to(slow), running);
    assert_eq!(text, "no output\ntimed out after 2 s and was ended");
    assert_eq!(with_argument(&mark).len(), 0);
    let endless = CommandSpec { timeout, ..CommandSpec::running(&["yes"]) };
    let text = answer_to(endless).await;
    assert!(text.starts_with("```\ny\ny\n"), "{text}");
    assert!(text.ends_with("timed out after 0.3 s and was ended"), "{text}");
}

/// A command that starts another one in its group and one in another session.
fn family() -> (String, CommandSpec) {
    let mark = mark();
    let script = format!("sleep {mark} & setsid sleep {mark} & wait");
    (mark, CommandSpec::running(&["sh", "-c", &script]))
}

async fn cut_off() {
    let (mark, slow) = family();
    tokio::select! {
        text = answer_to(slow) => panic!("{text}"),
        () = until("it is started", || with_argument(&mark).len() == 2) => {}
    }
    until("it is ended", || with_argument(&mark).is_empty()).await;
}

async fn variables_and_folder() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("work")).unwrap();
    let mut command = CommandSpec {
        folder: "work".into(),
        ..CommandSpec::running(&["sh", "-c", "basename $(pwd); echo $TOKEN $CARGO_PKG_NAME; cat"])
    };
    command.variables.set.insert("TOKEN".into(), Secret::new("s3cret".into()));
    assert_eq!(send(folder.path(), command.clone(), "!do").await, "```\nwork\ns3cret\n```");
    let text = send(Path::new("/no-such-folder"), command, "!do").await;
    assert!(text.starts_with("`!do` could not be started: its folder is not there"), "{text}");
}

async fn not_twice() {
    let folder = TempDir::new().unwrap();
    let touch = || CommandSpec::running(&["touch", "done"]);
    let message = message("$e", "!do");
    let started = Props { attempt: 2, ..Props::default() };
    *started.noted.lock().unwrap() = Some(b"started".to_vec());
    let said = text(send_to(folder.path(), touch(), &message, &started).await);
    assert!(said.starts_with("I was interrupted while `!do` ran"), "{said}");
    assert!(!folder.path().join("done").exists());
    // An attempt that did not get that far was no start.
    let fresh = Props { attempt: 2, ..Props::default() };
    let said = text(send_to(folder.path(), touch(), &message, &fresh).await);
    assert_eq!(said, "no output");
    assert!(folder.path().join("done").exists());
    assert!(fresh.noted.lock().unwrap().is_some());
}

async fn refused() {
    let folder = TempDir::new().unwrap();
    let touch = CommandSpec::running(&["touch", "done"]);
    let others = CommandSpec { users: vec!["@bob:hs".into()], ..touch.clone() };
    let elsewhere = CommandSpec { rooms: vec!["!other:hs".into()], ..touch.clone() };
    let strict = CommandSpec { require: Requirement::Verified, ..touch.clone() };
    for (command, body, said) in [
        (others, "!do", "I do not run `!do` for you"),
        (elsewhere, "!do", "I do not run `!do` in this room"),
        (strict, "!do", "`!do` was not run: this needs a verified sender"),
        (touch.clone(), "!do it", "`!do` was not run: it takes no arguments"),
    ] {
        let text = send(folder.path(), command, body).await;
        assert!(text.starts_with(said), "{text}");
    }
    let plain = message("$e", "do");
    assert_eq!(send_to(folder.path(), touch.clone(), &plain, &Props::default()).await, None);
    let image = Message { kind: MessageKind::Media, ..message("$e", "!do") };
    assert_eq!(send_to(folder.path(), touch, &image, &Props::default()).await, None);
    assert!(!folder.path().join("done").exists());
}

async fn confirmed() {
    let (alice, bob) = (UserId::new("@alice:hs"), UserId::new("@bob:hs"));
    for (users, answer, said) in [
        (None, Some(Answered::Yes(alice.clone())), "no output"),
        (None, Some(Answered::No(alice)), "`!do` was not run: `@alice:hs` said no."),
        (Some(vec!["@bob:*".to_owned()]), Some(Answered::Yes(bob)), "no output"),
        (None, None, "`!do` was not run: nobody agreed in time."),
    ] {
        let folder = TempDir::new().unwrap();
        let rest = ParameterKind::Rest { leading_dash: false };
        let what = Parameter { name: "what".into(), kind: rest, optional: false, default: None };
        let asks = CommandSpec {
            parameters: vec![what],
            confirm: Some(Confirmation { users: users.clone() }),
            ..CommandSpec::running(&["touch", "done", "{what}"])
        };
        let props = Props::default();
        props.answers.lock().unwrap().extend(answer);
        let message = message("$e", "!do a `b`");
        let answered = text(send_to(folder.path(), asks, &message, &props).await);
        assert_eq!(answered, said);
        assert_eq!(folder.path().join("done").exists(), said == "no output");
        assert_eq!(props.noted.lock().unwrap().is_some(), said == "no output");
        let asked = props.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].text, "Shall I run `!do`?\n\n```\nwhat: a `b`\n```");
        assert_eq!(asked[0].users, users.unwrap_or_else(|| vec!["@alice:hs".to_owned()]));
    }
}

async fn other_question() {
    let folder = TempDir::new().unwrap();
    let asks = |run: &[&str]| CommandSpec {
        parameters: vec![Parameter {
            name: "what".into(),
            kind: ParameterKind::Rest { leading_dash: false },
            optional: true,
            default: None,
        }],
        confirm: Some(Confirmation { users: None }),
        ..CommandSpec::running(run)
    };
    let about = async |command: CommandSpec, body: &str| {
        let props = Props::default();
        send_to(folder.path(), command, &message("$e", body), &props).await;
        props.asked.lock().unwrap().pop().unwrap().about
    };
    let run = &["touch", "{what}"];
    let first = about(asks(run), "!do a").await;
    // As after a restart, and when only its description changed.
    assert_eq!(about(asks(run), "!do a").await, first);
    let described = CommandSpec { about: Some("makes a file".into()), ..asks(run) };
    assert_eq!(about(described, "!do a").await, first);
    let lead = Some(Confirmation { users: Some(vec!["@lead:hs".into()]) });
    let verified = Message { assurance: Assurance::Verified, ..message("$e", "!do a") };
    let strict = CommandSpec { require: Requirement::Verified, ..asks(run) };
    let props = Props::default();
    send_to(folder.path(), strict, &verified, &props).await;
    let strict = props.asked.lock().unwrap().pop().unwrap().about;
    for (what, other) in [
        ("its arguments", about(asks(run), "!do b").await),
        ("the program", about(asks(&["rm", "{what}"]), "!do a").await),
        ("an argument", about(asks(&["touch", "-c", "{what}"]), "!do a").await),
        ("its folder", about(CommandSpec { folder: "x".into(), ..asks(run) }, "!do a").await),
        ("who agrees", about(CommandSpec { confirm: lead, ..asks(run) }, "!do a").await),
        ("how sure that is", strict),
    ] {
        assert_ne!(other, first, "{what} changed");
    }
}

async fn by_itself() {
    let folder = TempDir::new().unwrap();
    let strict = CommandSpec {
        users: Vec::new(),
        require: Requirement::Verified,
        confirm: Some(Confirmation { users: None }),
        ..CommandSpec::running(&["touch", "done"])
    };
    let task = Message { kind: MessageKind::Task, ..message("launcher-task:1", "!do") };
    let said = text(send_to(folder.path(), strict, &task, &Props::default()).await);
    assert_eq!(said, "no output");
    assert!(folder.path().join("done").exists());
}

async fn at_once() {
    let folder = TempDir::new().unwrap();
    // Fails if another one of it is running.
    let script = "mkdir running && sleep 0.3 && rmdir running && echo ran";
    let command = CommandSpec::running(&["sh", "-c", script]);
    let commands = BTreeMap::from([("!do".to_owned(), command)]);
    let behavior = Commands::new(commands, folder.path().to_owned());
    let run = async |event: &str| {
        let response = behavior.on_message(&message(event, "!do"), &Props::default()).await;
        text(response.unwrap().unwrap().actions.into_iter().next())
    };
    let (one, two, three) = tokio::join!(run("$1"), run("$2"), run("$3"));
    assert_eq!([one, two, three], ["```\nran\n```", "```\nran\n```", "```\nran\n```"]);
}

async fn bomb() {
    let mark = mark();
    // Bounded far above the limit, should it not hold.
    let script = format!(
        "grow() {{ [ $1 -gt 0 ] || sleep {mark}; for i in 1 2; do grow $(($1 - 1)) & done; wait; }}
         grow 9"
    );
    let mut command = CommandSpec::running(&["sh", "-c", &script]);
    command.limits.processes = 20;
    let text = answer_to(command).await;
    assert_eq!(text, "no output\nended because it had started too many processes");
    assert_eq!(with_argument(&mark).len(), 0);
    assert_eq!(say(&["echo", "alive"]).await, "```\nalive\n```");
}
