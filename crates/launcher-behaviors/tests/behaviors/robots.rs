//! Programs that speak the process protocol.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use launcher_behaviors::Robot;
use launcher_core::{
    children::Limits,
    conversation::{Media, MediaKind, Message, MessageKind},
    names::EventId,
    secret::Secret,
    spec::{BehaviorSpec, ProcessSpec},
};
use launcher_runtime::ports::{
    Action, Behavior as _, BehaviorFault, Initiative, Memory, Response, Task, ToDo,
};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    agents::{agent, message},
    case, logged,
    processes::until,
    props::Props,
};

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("the sample in Python answers", sample_in_python),
        case("the sample in Bash answers", sample_in_bash),
        case("what is wanted about an event is done when the event is", collected),
        case("events of several rooms are in hand at the same time", several),
        case("a robot gets the file of an event and sends one of its own", files),
        case("the file of an event is not fetched for ever", fetched_again),
        case("a slow server is not the robot's fault", slow_file),
        case("what a robot writes faster than it is taken is taken in its order", fast),
        case("what is wanted about an event has a bound", wanted_too_much),
        case("files of events that are not done have a bound", held),
        case("an event comes again when the robot ends over it", again),
        case("a robot that takes too long is started anew", too_long),
        case("a robot that writes nonsense is started anew", nonsense),
        case("a line without an end is no trouble", endless),
        case("of what is written to the standard error so much is logged", noisy),
        case("a robot that swarms is ended and started anew", swarm),
        case("a post is made once for each key", posts),
        case("a robot can end by itself when its input does", stopped),
    ]
}

/// What a robot begins with: it is ready, and reads events.
const BEGINNING: &str = r#"
import json, os, sys, time
def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}), flush=True)
def lines():
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            assert message["version"] == 1 and message["agent"] == "tested", message
            tell("ready", version=1)
        else:
            yield message
def events():
    for message in lines():
        if message["type"] == "event":
            yield message["id"], message
        elif message["type"] == "error":
            open("errors", "a").write(message["message"] + "\n")
"#;

/// A robot at work, in a folder of its own.
struct Bench {
    folder: TempDir,
    robot: Arc<Robot>,
    posted: Arc<Posted>,
    running: JoinHandle<Result<(), BehaviorFault>>,
}

impl Bench {
    /// With a program in Python.
    fn new(program: &str) -> Self {
        Self::with(program, |_| {})
    }

    fn with(program: &str, change: impl FnOnce(&mut ProcessSpec)) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("robot.py"), format!("{BEGINNING}{program}")).unwrap();
        Self::running(folder, &["python3", "robot.py"], change)
    }

    #[expect(clippy::disallowed_methods, reason = "the bench is its owner, and ends it")]
    fn running(folder: TempDir, run: &[&str], change: impl FnOnce(&mut ProcessSpec)) -> Self {
        let mut spec = ProcessSpec::running(run.iter().map(ToString::to_string).collect());
        spec.timeout = Duration::from_secs(20);
        change(&mut spec);
        let agent = agent(folder.path(), BehaviorSpec::Process(spec.clone()));
        let robot = Arc::new(Robot::new(&agent, &spec));
        let posted = Arc::new(Posted::default());
        let running = tokio::spawn({
            let (robot, posted) = (robot.clone(), posted.clone());
            async move { robot.run(posted).await }
        });
        Self { folder, robot, posted, running }
    }

    async fn ask(&self, message: &Message) -> Result<Option<Response>, String> {
        self.ask_on(message, &Props::default()).await
    }

    async fn ask_on(&self, message: &Message, props: &Props) -> Result<Option<Response>, String> {
        self.robot.on_message(message, props).await.map_err(|fault| fault.to_string())
    }

    /// The only thing that is said to this.
    async fn said(&self, event: &str, body: &str) -> String {
        let response = self.ask(&message(event, body)).await.unwrap().unwrap();
        match response.actions.as_slice() {
            [Action::Say { text }] => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// What robots have posted.
#[derive(Default)]
struct Posted(Mutex<BTreeMap<String, Task>>);

#[async_trait]
impl Initiative for Posted {
    async fn begin(&self, task: Task, _: Vec<Memory>) -> Result<bool, BehaviorFault> {
        let mut posted = self.0.lock().unwrap();
        let is_new = !posted.contains_key(&task.id);
        posted.entry(task.id.clone()).or_insert(task);
        Ok(is_new)
    }

    async fn recall(&self, _: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        Ok(None)
    }

    async fn remember(&self, _: Vec<Memory>) -> Result<(), BehaviorFault> {
        Ok(())
    }
}

/// A sample, as it stands in `agents`.
fn sample(name: &str, run: &[&str]) -> Bench {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agents").join(name);
    let folder = TempDir::new().unwrap();
    let program = run.last().unwrap();
    fs::copy(samples.join(program), folder.path().join(program)).unwrap();
    let lines = fs::read_to_string(samples.join(program)).unwrap().lines().count();
    assert!(lines < 40, "{lines}");
    Bench::running(folder, run, |_| {})
}

async fn sample_in_python() {
    let robot = sample("robot-python", &["python3", "robot.py"]);
    let said = robot.said("$1", "roll 2d6 please").await;
    assert!(said.contains(" + ") && said.contains("= **"), "{said}");
    // The same event again, as after a kill.
    assert_eq!(robot.said("$1", "roll 2d6 please").await, said);
    assert_eq!(robot.said("$2", "hello").await, "Tell me what to roll, such as `2d6`.");
    let edit = Message { kind: MessageKind::Edit, ..message("$3", "roll 1d6") };
    assert_eq!(robot.ask(&edit).await, Ok(Some(Response::default())));
}

async fn sample_in_bash() {
    let robot = sample("robot-bash", &["bash", "robot.sh"]);
    let said = robot.said("$1", "memory").await;
    assert!(said.starts_with("```\nMemTotal:") && said.ends_with("\n```"), "{said}");
    assert!(robot.said("$2", "\"; rm -rf / #").await.contains("I know: uptime, disk, memory"));
}

async fn collected() {
    let robot = Bench::new(
        r#"
for id, event in events():
    text = event["text"]
    if text == "all":
        tell("draft", id=id, text="so f")
        tell("draft", id=id, text="so far")
        tell("say", id=id, text="one")
        tell("react", id=id, key="👍")
        tell("edit", id=id, target="$old", text="two")
        tell("redact", id=id, target="$older")
        tell("react", id=id, target="$old", key="x")
        tell("say", id="$other", text="for nobody")
    elif text == "pass":
        tell("say", id=id, text="no")
        tell("pass", id=id)
    elif text == "fail":
        tell("failed", id=id, message="the cat is\non the keyboard")
    elif text == "much":
        for n in range(60):
            tell("say", id=id, text=str(n))
    tell("done", id=id)
"#,
    );
    let props = Props::default();
    let response = robot.ask_on(&message("$1", "all"), &props).await.unwrap().unwrap();
    let (event, old) = (EventId::new("$1"), EventId::new("$old"));
    let wanted = [
        Action::Say { text: "one".into() },
        Action::React { event, key: "👍".into() },
        Action::Edit { event: old.clone(), text: "two".into() },
        Action::Redact { event: EventId::new("$older") },
        Action::React { event: old, key: "x".into() },
    ];
    assert!(response.actions == wanted, "{:?}", response.actions);
    assert_eq!(*props.drafts.lock().unwrap(), ["so f", "so far"]);
    until("the robot hears of the other event", || robot.file("errors").exists()).await;
    assert_eq!(robot.ask(&message("$2", "pass")).await, Ok(None));
    let fault = robot.ask(&message("$3", "fail")).await.unwrap_err();
    assert_eq!(fault, "the program says: the cat is\u{fffd}on the keyboard");
    let fault = robot.ask(&message("$4", "much")).await.unwrap_err();
    assert_eq!(fault, "the program wants more than 50 things at once");
    assert_eq!(robot.ask(&message("$5", "")).await, Ok(Some(Response::default())));
}

async fn several() {
    // Answers the first event when the second one is there.
    let robot = Bench::new(
        r#"
waiting = []
for id, event in events():
    waiting.append((id, event["text"]))
    while len(waiting) > 1:
        for id, text in reversed(waiting):
            tell("say", id=id, text=text)
            tell("done", id=id)
        waiting = []
"#,
    );
    let (one, two) = tokio::join!(robot.said("$1", "a"), robot.said("$2", "b"));
    assert_eq!([one.as_str(), two.as_str()], ["a", "b"]);
}

async fn files() {
    let robot = Bench::new(
        r#"
import base64
for message in lines():
    if message["type"] == "event":
        assert message["media"] == {"kind": "image", "name": "a.png", "content_type": "image/png", "size": 3}, message
        tell("fetch", id=message["id"])
    elif message["type"] == "fetched":
        if "error" in message:
            tell("say", id=message["id"], text=message["error"])
        else:
            open("out.bin", "wb").write(base64.b64decode(message["data"])[::-1])
            tell("file", id=message["id"], path="../secret")
            tell("file", id=message["id"], path="out.bin", name="b.png", caption="turned")
        tell("done", id=message["id"])
"#,
    );
    let props = Props::default().with_file("there", &[1, 0xff, 0]);
    let response = robot.ask_on(&with("$1", "there"), &props).await.unwrap().unwrap();
    let [Action::File(file)] = response.actions.as_slice() else { panic!("{response:?}") };
    assert_eq!(file.bytes, [0, 0xff, 1]);
    assert_eq!((file.name.as_str(), file.content_type.as_str()), ("b.png", "image/png"));
    assert_eq!(file.caption.as_deref(), Some("turned"));
    let response = robot.ask_on(&with("$2", "gone"), &props).await.unwrap().unwrap();
    let [Action::Say { text }] = response.actions.as_slice() else { panic!("{response:?}") };
    assert!(text.contains("M_NOT_FOUND"), "{text}");
}

/// A message with a file.
fn with(event: &str, source: &str) -> Message {
    let media = Media {
        kind: MediaKind::Image,
        name: "a.png".into(),
        content_type: "image/png".into(),
        size: Some(3),
        source: Secret::new(source.to_owned()),
    };
    Message { kind: MessageKind::Media, media: Some(media), ..message(event, "") }
}

fn said(response: Option<Response>) -> Vec<String> {
    let said = |action| match action {
        Action::Say { text } => Some(text),
        _ => None,
    };
    response.unwrap().actions.into_iter().filter_map(said).collect()
}

async fn fetched_again() {
    let robot = Bench::new(
        r#"
for message in lines():
    if message["type"] == "event":
        tell("fetch", id=message["id"])
    elif message["type"] == "fetched":
        tell("say", id=message["id"], text=message.get("error", "here"))
        tell("done" if "error" in message else "fetch", id=message["id"])
"#,
    );
    let props = Props::default().with_file("there", b"abc");
    let response = robot.ask_on(&with("$1", "there"), &props).await.unwrap();
    assert_eq!(said(response), ["here", "here", "here", "it was fetched 3 times for this event"]);
}

async fn slow_file() {
    let robot = Bench::with(
        r#"
for message in lines():
    if message["type"] == "event":
        tell("fetch", id=message["id"])
    elif message["type"] == "fetched":
        tell("say", id=message["id"], text="here")
        tell("done", id=message["id"])
"#,
        |spec| spec.timeout = Duration::from_secs(2),
    );
    let fetching = Duration::from_millis(2500);
    let props = Props { fetching, ..Props::default() }.with_file("there", b"abc");
    let response = robot.ask_on(&with("$1", "there"), &props).await.unwrap();
    assert_eq!(said(response), ["here"]);
}

async fn fast() {
    // While the file is fetched, nobody takes what comes after it.
    let robot = Bench::new(
        r#"
for message in lines():
    if message["type"] == "event":
        id = message["id"]
        tell("fetch", id=id)
        for n in range(200):
            tell("draft", id=id, text=str(n) + " " + "x" * 50_000)
        tell("say", id=id, text="all of it")
        tell("done", id=id)
"#,
    );
    let fetching = Duration::from_millis(300);
    let props = Props { fetching, ..Props::default() }.with_file("there", b"abc");
    let response = robot.ask_on(&with("$1", "there"), &props).await.unwrap();
    assert_eq!(said(response), ["all of it"]);
    let drafts = props.drafts.lock().unwrap();
    assert_eq!(drafts.len(), 200);
    for (n, draft) in drafts.iter().enumerate() {
        assert!(draft.starts_with(&format!("{n} x")), "{n}");
    }
}

async fn wanted_too_much() {
    let robot = Bench::new(
        r#"
with open("large.bin", "wb") as file:
    file.truncate(20 * 1024 * 1024)
for message in lines():
    if message["type"] == "event":
        id, text = message["id"], message["text"]
        if text == "texts":
            for _ in range(3):
                tell("say", id=id, text="x" * 900_000)
            tell("done", id=id)
        else:
            tell("file", id=id, path="large.bin")
            tell("file", id=id, path="large.bin")
    elif message["type"] == "error" and message.get("id") == "$2":
        tell("say", id=message["id"], text=message["message"])
        tell("done", id=message["id"])
"#,
    );
    let fault = robot.ask(&message("$1", "texts")).await.unwrap_err();
    assert_eq!(fault, "the program wants to say more than 2097152 bytes at once");
    let response = robot.ask(&message("$2", "files")).await.unwrap().unwrap();
    let [Action::File(file), Action::Say { text }] = response.actions.as_slice() else {
        panic!("{response:?}")
    };
    assert_eq!(file.bytes.len(), 20 * 1024 * 1024);
    assert_eq!(text, "with the event's other files it is over 33554432 bytes");
}

async fn held() {
    // Ends its events when there is no room for another file, and tries that again.
    let robot = Bench::with(
        r#"
with open("large.bin", "wb") as file:
    file.truncate(32 * 1024 * 1024)
waiting = []
for message in lines():
    id = message.get("id")
    if message["type"] == "event":
        tell("file", id=id, path="large.bin")
        waiting.append(id)
    elif message["type"] == "error":
        open("refused", "a").write(message["message"] + "\n")
        waiting.remove(id)
        for other in waiting:
            tell("done", id=other)
        waiting = []
        time.sleep(0.5)
        tell("file", id=id, path="large.bin")
        tell("done", id=id)
"#,
        |spec| spec.at_once = 8,
    );
    let messages = ["$1", "$2", "$3", "$4", "$5"].map(|event| message(event, ""));
    for response in join_all(messages.iter().map(|message| robot.ask(message))).await {
        let response = response.unwrap().unwrap();
        assert!(matches!(response.actions.as_slice(), [Action::File(_)]), "{response:?}");
    }
    let refused = fs::read_to_string(robot.file("refused")).unwrap();
    assert_eq!(refused, "there is no room for it until other events with files are done\n");
}

async fn noisy() {
    let robot = Bench::new(
        r#"
for id, event in events():
    for n in range(20 + 137):
        print(f"line {n} of the noisy one\u2028\x1b[31m", file=sys.stderr, flush=True)
    tell("done", id=id)
"#,
    );
    robot.ask(&message("$1", "")).await.unwrap();
    until("the lines are in the log", || logged::contains("line 19 of the noisy one")).await;
    until("those that are not are counted", || {
        robot.running.abort();
        logged::contains("robot_lines_left_out") && logged::contains("count=137")
    })
    .await;
    assert!(!logged::contains("line 20 of the noisy one"));
    assert!(logged::contains("noisy one\u{fffd}\u{fffd}[31m"));
}

async fn again() {
    let robot = Bench::new(
        r#"
for id, event in events():
    if event["text"] == "die" or not os.path.exists("died"):
        open("died", "w").close()
        tell("say", id=id, text="unfinished")
        sys.exit(3)
    tell("say", id=id, text=f"attempt {event['attempt']}")
    tell("done", id=id)
"#,
    );
    assert_eq!(robot.said("$1", "hello").await, "attempt 2");
    let fault = robot.ask(&message("$2", "die")).await.unwrap_err();
    assert_eq!(fault, "the program ended while it worked on the message");
    let props = Props { attempt: 5, ..Props::default() };
    let response = robot.ask_on(&message("$3", "hello"), &props).await.unwrap().unwrap();
    assert!(response.actions == [Action::Say { text: "attempt 5".into() }]);
}

async fn too_long() {
    let robot = Bench::with(
        r#"
for id, event in events():
    if event["text"] == "sleep":
        time.sleep(60)
    tell("say", id=id, text=str(os.getpid()))
    tell("done", id=id)
"#,
        |spec| spec.timeout = Duration::from_secs(2),
    );
    let before = robot.said("$1", "").await;
    let fault = robot.ask(&message("$2", "sleep")).await.unwrap_err();
    assert_eq!(fault, "the program took longer than 2 s for one event");
    until("it is gone", || !Path::new("/proc").join(&before).exists()).await;
    assert_ne!(robot.said("$3", "").await, before);
}

async fn nonsense() {
    let robot = Bench::new(
        r#"
for id, event in events():
    if not os.path.exists("wild"):
        open("wild", "w").close()
        sys.stdout.buffer.write(b'no json\n{"type": "sing"}\n\xff\xfe\n')
        tell("say", id=id, text="sense")
        sys.stdout.buffer.write(b'[]\n{"type": "say"}\nnull\n\n{}\n"x"\n')
        sys.stdout.flush()
        time.sleep(60)
    print("a line\033[31m for the log", file=sys.stderr, flush=True)
    tell("say", id=id, text=f"attempt {event['attempt']}")
    tell("done", id=id)
"#,
    );
    assert_eq!(robot.said("$1", "").await, "attempt 2");
}

async fn endless() {
    let robot = Bench::new(
        r#"
for id, event in events():
    sys.stdout.write("x" * 5_000_000 + "\n")
    tell("y" * 900_000)
    tell("say", id=id, text="here")
    sys.stderr.write("y" * 5_000_000 + "\n" * 100_000)
    tell("done", id=id)
"#,
    );
    assert_eq!(robot.said("$1", "").await, "here");
    // The robot read what is wrong with its line before the next event.
    until("it hears of it", || robot.file("errors").exists()).await;
    assert_eq!(robot.said("$2", "").await, "here");
    let errors = fs::read_to_string(robot.file("errors")).unwrap();
    let mut errors = errors.lines();
    assert_eq!(errors.next(), Some("longer than 1048576 bytes"));
    // It quotes what it did not understand, but not all of it.
    let quoted = errors.next().unwrap();
    assert!(quoted.contains("yyy") && quoted.len() == 500, "{quoted}");
}

async fn swarm() {
    let robot = Bench::with(
        r#"
for id, event in events():
    if not os.path.exists("swarmed"):
        open("swarmed", "w").close()
        for _ in range(200):
            if os.fork() == 0:
                os.setsid()
                time.sleep(60)
                os._exit(0)
        time.sleep(60)
    tell("say", id=id, text=f"attempt {event['attempt']}")
    tell("done", id=id)
"#,
        |spec| spec.limits = Limits { processes: 10, ..Limits::default() },
    );
    assert_eq!(robot.said("$1", "").await, "attempt 2");
}

async fn posts() {
    let robot = Bench::new(
        r#"
seen = []
for message in lines():
    if message["type"] == "event":
        for key, room in [("a", "!r:hs"), ("b", "!r:hs"), ("a", "!r:hs"), ("c", "r"), ("", "!r:hs")]:
            tell("post", key=key, room=room, text="news " + key)
        tell("post", key="long", room="!r:hs", text="x" * 65537)
        event = message["id"]
    else:
        seen.append(message.get("new", message["type"]))
        if len(seen) == 6:
            tell("say", id=event, text=str(seen))
            tell("done", id=event)
"#,
    );
    let said = robot.said("$1", "").await;
    assert_eq!(said, "[True, True, False, 'error', 'error', 'error']");
    let posted = robot.posted.0.lock().unwrap();
    assert_eq!(posted.keys().collect::<Vec<_>>(), ["process/a", "process/b"]);
    let task = &posted["process/b"];
    assert_eq!(task.room.as_str(), "!r:hs");
    assert!(task.what == ToDo::Act(vec![Action::Say { text: "news b".into() }]));
}

async fn stopped() {
    let robot = Bench::new(
        r#"
for id, event in events():
    tell("done", id=id)
open("ended", "w").close()
"#,
    );
    robot.ask(&message("$1", "")).await.unwrap();
    robot.running.abort();
    until("it has ended in order", || robot.file("ended").exists()).await;
}
