//! Programs and addresses that say what an agent says.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use launcher_testbed::{DEFAULT_TIMEOUT, JsUser, Message, MessageFilter};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    Cases, Outcome,
    answering::{agent_with, hear},
    bed::Bed,
    launcher::{Place, Running},
    rooms::room_with,
};

pub(crate) const CASES: Cases = &[
    ("programs::commands_take_parameters_ask_first_and_send_files", commands),
    ("programs::a_command_is_started_once_whatever_is_killed", started_once),
    ("programs::commands_that_go_wild_are_ended_and_others_are_answered_meanwhile", wild),
    ("programs::the_robots_in_python_and_bash_answer_once_through_kills", robots),
    ("programs::a_robot_sends_files_posts_once_and_is_ended_with_the_launcher", files_and_posts),
    ("programs::a_webhook_answers_and_is_asked_again_under_the_same_id", webhook),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A sample agent of this repository: its folder, and what its file says below `behavior`.
fn sample(id: &str) -> Result<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agents").join(id);
    let config = fs::read_to_string(folder.join("config.yaml"))?;
    let (_, behavior) = config.split_once("\nbehavior:").ok_or("no behavior")?;
    Ok((folder, format!("behavior:{behavior}")))
}

fn body(message: &Message) -> &str {
    message.body.as_deref().unwrap_or_default()
}

/// The replies to an event, once there are so many.
fn replies(user: &JsUser, room: &str, event: &str, count: usize) -> Result<Vec<Message>> {
    let replies = user.wait_for_replies(room, event, count, DEFAULT_TIMEOUT)?;
    assert!(replies.iter().all(|message| message.encrypted));
    Ok(replies)
}

fn commands(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let keys = r#"behavior:
  commands:
    "!deploy":
      run: ["sh", "-c", "echo deployed $2 to $1 | tee -a deployed", "sh", "{env}", "{version}"]
      about: "deploys a version"
      parameters:
        env: { choice: [staging, production] }
        version: { pattern: "[0-9.]+|latest", default: latest }
      confirm: true
    "!numbers": { run: [seq, "1", "{last}"], parameters: { last: { type: integer } }, output: file }
    "!bomb":
      run: ["sh", "-c", "grow() { [ $1 -gt 0 ] || sleep 60; for i in 1 2; do grow $(($1 - 1)) & done; wait; }; grow 9"]
      limits: { processes: 20 }
"#;
    let agent = agent_with(bed, &place, "ops", keys)?;
    let _launcher = place.start_ready(&["ops"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let help = hear(&alice, &room, "!help")?;
    assert!(help.contains("!deploy <staging|production> [version]"), "{help}");
    let wrong = hear(&alice, &room, "!deploy test")?;
    assert!(wrong.contains("`env` has to be one of `staging`, `production`"), "{wrong}");
    assert!(hear(&alice, &room, "!deploy staging --rm")?.contains("may not begin with `-`"));

    // Nothing is run before somebody agrees, and nothing if nobody does.
    let deployed = place.agent_folder("ops").join("deployed");
    let refused = alice.send_text(&room, "!deploy production 1.2")?;
    let question = replies(&alice, &room, &refused, 1)?.remove(0);
    assert!(body(&question).contains("version: 1.2"), "{question:?}");
    alice.send_reply(&room, &question.event_id, "no")?;
    let said = replies(&alice, &room, &refused, 2)?;
    assert!(body(&said[1]).contains("said no"), "{said:?}");
    assert!(!deployed.exists());
    let wanted = alice.send_text(&room, "!deploy staging")?;
    let question = replies(&alice, &room, &wanted, 1)?.remove(0);
    let relation =
        json!({ "rel_type": "m.annotation", "event_id": question.event_id, "key": "👍" });
    alice.send_event(&room, "m.reaction", &json!({ "m.relates_to": relation }))?;
    let said = replies(&alice, &room, &wanted, 2)?;
    assert!(body(&said[1]).contains("deployed latest to staging"), "{said:?}");
    assert_eq!(fs::read_to_string(&deployed)?, "deployed latest to staging\n");

    let asked = alice.send_text(&room, "!numbers 5000")?;
    let file = replies(&alice, &room, &asked, 1)?.remove(0);
    assert_eq!(file.msgtype.as_deref(), Some("m.file"));
    let expected: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    assert_eq!(alice.download(&file)?.bytes, expected.into_bytes());

    let bomb = hear(&alice, &room, "!bomb")?;
    assert!(bomb.contains("ended because it had started too many processes"), "{bomb}");
    assert!(hear(&alice, &room, "!help")?.contains("!bomb"));
    Ok(())
}

fn started_once(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let keys = r#"behavior:
  commands:
    "!slow": { run: ["sh", "-c", "echo begun >> slow; sleep 60"], timeout: 1m30s }
    "!asks": { run: ["sh", "-c", "echo run >> asks"], confirm: true }
"#;
    let agent = agent_with(bed, &place, "ops", keys)?;
    let mut launcher = place.start_ready(&["ops"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let slow = place.agent_folder("ops").join("slow");
    let asked = alice.send_text(&room, "!slow")?;
    launcher.wait_until("the command runs", |_| Ok(slow.exists()))?;
    kill(&mut launcher)?;
    let mut launcher = place.start_ready(&["ops"])?;
    let said = replies(&alice, &room, &asked, 1)?;
    assert!(body(&said[0]).starts_with("I was interrupted while `!slow` ran"), "{said:?}");
    assert_eq!(fs::read_to_string(&slow)?, "begun\n");
    assert_eq!(with_folder(&place.agent_folder("ops"))?.len(), 0);

    // A question is asked once and may be answered while nobody is there.
    let asked = alice.send_text(&room, "!asks")?;
    let question = replies(&alice, &room, &asked, 1)?.remove(0);
    kill(&mut launcher)?;
    alice.send_reply(&room, &question.event_id, "yes")?;
    let _launcher = place.start_ready(&["ops"])?;
    let said = replies(&alice, &room, &asked, 2)?;
    assert_eq!((said.len(), body(&said[1])), (2, "no output"));
    assert_eq!(fs::read_to_string(place.agent_folder("ops").join("asks"))?, "run\n");
    Ok(())
}

/// Starts itself twice, again and again; ends by itself far beyond its limit.
const BOMB: &str = "import os, time
def grow(left):
    for _ in range(2):
        if left > 0 and os.fork() == 0:
            grow(left - 1)
    time.sleep(60)
    os._exit(0)
grow(9)
";

fn wild(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let keys = r#"behavior:
  commands:
    "!bomb": { run: [python3, bomb.py], limits: { processes: 20 }, timeout: 30s }
    "!endless": { run: ["yes"], timeout: 2s }
    "!bytes": { run: [printf, 'a\377\033[1mb'] }
"#;
    let agent = agent_with(bed, &place, "ops", keys)?;
    let echo = agent_with(bed, &place, "echo", "behavior: { echo: {} }\n")?;
    fs::write(place.agent_folder("ops").join("bomb.py"), BOMB)?;
    let launcher = place.start_ready(&["ops", "echo"])?;
    let alice = bed.person("alice")?;
    let (room, other) = (room_with(&alice, &agent)?, room_with(&alice, &echo)?);
    let asked = alice.send_text(&room, "!bomb")?;
    assert_eq!(hear(&alice, &other, "still there?")?, "echo: still there?");
    let said = replies(&alice, &room, &asked, 1)?;
    assert!(body(&said[0]).contains("too many processes"), "{said:?}");
    assert_eq!(with_folder(&place.agent_folder("ops"))?.len(), 0);
    // As much of it as is shown comes in parts, the end in the last.
    assert!(hear(&alice, &room, "!endless")?.contains("y\ny\n"));
    let last = MessageFilter::new().sender(&agent).body_contains("timed out");
    alice.wait_for_message(&room, last, DEFAULT_TIMEOUT)?;
    assert!(hear(&alice, &room, "!bytes")?.contains("a\u{fffd}"));
    assert_eq!(launcher.agent_status("ops")?["state"], "running");
    Ok(())
}

fn kill(launcher: &mut Running<'_>) -> Outcome {
    launcher.signal(Signal::KILL)?;
    launcher.wait_for_end(DEFAULT_TIMEOUT)?;
    Ok(())
}

/// The processes that work in a folder.
fn with_folder(folder: &Path) -> Result<Vec<Pid>> {
    let folder = folder.canonicalize()?;
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let path = process.path();
        let keeper = fs::read(path.join("cmdline")).unwrap_or_default();
        let is_keeper = String::from_utf8_lossy(&keeper).contains("\0__child\0");
        if !is_keeper && fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == folder) {
            let id = process.file_name().to_string_lossy().parse().unwrap_or_default();
            found.extend(Pid::from_raw(id));
        }
    }
    Ok(found)
}

fn robots(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let alice = bed.person("alice")?;
    let mut rooms = BTreeMap::new();
    let mut agents = Vec::new();
    for (id, program) in [("robot-python", "robot.py"), ("robot-bash", "robot.sh")] {
        let (folder, behavior) = sample(id)?;
        agents.push((id, agent_with(bed, &place, id, &behavior)?));
        fs::copy(folder.join(program), place.agent_folder(id).join(program))?;
    }
    let mut launcher = place.start_ready(&["robot-python", "robot-bash"])?;
    for (id, agent) in &agents {
        rooms.insert(*id, room_with(&alice, agent)?);
    }
    let (dice, machine) = (&rooms["robot-python"], &rooms["robot-bash"]);
    assert!(hear(&alice, dice, "roll 2d6")?.contains(" = "));
    assert!(hear(&alice, machine, "memory")?.contains("MemTotal"));
    let mut asked = Vec::new();
    for round in 0..3 {
        for (room, text) in [(dice, "1d100"), (machine, "uptime")] {
            asked.push((room.clone(), alice.send_text(room, text)?));
        }
        if round == 0 {
            // Only the program: it is started again.
            for robot in with_folder(&place.agent_folder("robot-python"))? {
                kill_process(robot, Signal::KILL).ok();
            }
        } else {
            kill(&mut launcher)?;
            launcher = place.start_ready(&["robot-python", "robot-bash"])?;
        }
    }
    for (room, question) in &asked {
        replies(&alice, room, question, 1)?;
    }
    assert!(hear(&alice, dice, "the end")?.contains("2d6"));
    assert!(hear(&alice, machine, "the end")?.contains("I know"));
    for (room, question) in &asked {
        let said = alice.messages(room)?;
        let count = said.iter().filter(|one| one.reply_to() == Some(question.as_str())).count();
        assert_eq!(count, 1, "{question}");
    }
    Ok(())
}

/// Posts when it starts, and sends a file when it is asked to.
const POSTER: &str = r#"
import json, sys
def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        tell("ready", version=1)
        tell("post", key="started", room=sys.argv[1], text="I am here")
        print("a line for the log", file=sys.stderr, flush=True)
    elif message["type"] == "ping":
        tell("pong", n=message["n"])
    elif message["type"] == "event":
        tell("draft", id=message["id"], text="wait")
        open("numbers.bin", "wb").write(bytes(range(256)) * 100)
        tell("react", id=message["id"], key="👍")
        tell("say", id=message["id"], text="here it is")
        tell("file", id=message["id"], path="numbers.bin", caption="all of them")
        tell("done", id=message["id"])
open("ended", "a").write("ended\n")
"#;

fn files_and_posts(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let alice = bed.person("alice")?;
    let echo = "behavior: { echo: { prefix: \"echo: \" } }\n";
    let agent = agent_with(bed, &place, "poster", echo)?;
    let launcher = place.start_ready(&["poster"])?;
    let room = room_with(&alice, &agent)?;
    drop(launcher);
    let folder = place.agent_folder("poster");
    let config = fs::read_to_string(folder.join("config.yaml"))?;
    let (before, _) = config.split_once("behavior:").ok_or("no behavior")?;
    let keys = format!("behavior:\n  process: {{ run: [python3, robot.py, \"{room}\"] }}\n");
    fs::write(folder.join("config.yaml"), format!("{before}{keys}"))?;
    fs::write(folder.join("robot.py"), POSTER)?;

    let mut launcher = place.start_ready(&["poster"])?;
    let posted = || MessageFilter::new().body("I am here").sender(&agent);
    alice.wait_for_message(&room, posted(), DEFAULT_TIMEOUT)?;
    launcher.wait_for_event("robot_line", "poster")?;
    kill(&mut launcher)?;
    launcher = place.start_ready(&["poster"])?;
    let asked = alice.send_text(&room, "send it")?;
    let said = replies(&alice, &room, &asked, 2)?;
    let file = said.iter().find(|one| one.msgtype.as_deref() == Some("m.file"));
    let file = file.ok_or("no file")?;
    let expected: Vec<u8> = (0..=255).cycle().take(25_600).collect();
    assert_eq!(alice.download(file)?.bytes, expected);
    alice.wait_for_message(&room, MessageFilter::new().reaction_to(&asked), DEFAULT_TIMEOUT)?;
    let said = alice.messages(&room)?;
    assert_eq!(said.iter().filter(|one| body(one) == "I am here").count(), 1);

    let ended = folder.join("ended");
    fs::remove_file(&ended).ok();
    assert!(launcher.stop()?.0.success());
    let deadline = std::time::Instant::now() + DEFAULT_TIMEOUT;
    while !with_folder(&folder)?.is_empty() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(with_folder(&folder)?.len(), 0);
    assert_eq!(fs::read_to_string(ended)?, "ended\n");
    Ok(())
}

/// What was posted to an address: the id and the text of each request.
type Posted = Arc<Mutex<Vec<(String, String)>>>;

/// An address that answers each message with its text, when it is there for the
/// second time.
fn answering() -> Result<(String, Posted)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/", listener.local_addr()?);
    let posted = Posted::default();
    let seen = posted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A request that was cut off is no request.
            answer(stream, &seen).ok();
        }
    });
    Ok((address, posted))
}

fn answer(mut stream: TcpStream, posted: &Posted) -> Outcome {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = BTreeMap::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(": ") {
            head.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        line.clear();
    }
    let mut body = vec![0; head["content-length"].parse()?];
    reader.read_exact(&mut body)?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    let text = body["event"]["text"].as_str().unwrap_or_default().to_owned();
    let (id, signed) = (&head["webhook-id"], head.contains_key("webhook-signature"));
    let count = {
        let mut posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted.push((id.clone(), text.clone()));
        posted.iter().filter(|(known, _)| known == id).count()
    };
    let (status, said) = match (signed, count) {
        (false, _) => ("401 Unauthorized", String::new()),
        (true, 1) => ("503 Service Unavailable", String::new()),
        (true, _) => ("200 OK", json!({ "text": format!("you said {text}") }).to_string()),
    };
    let length = said.len();
    let head = "content-type: application/json\r\nretry-after: 1\r\nconnection: close";
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{said}")?;
    Ok(())
}

fn webhook(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (address, posted) = answering()?;
    let (_, behavior) = sample("hook")?;
    place.set_variable("WEBHOOK_URL_HOOK", &address)?;
    place.set_variable("WEBHOOK_KEY_HOOK", "a-long-text")?;
    let agent = agent_with(bed, &place, "hook", &behavior)?;
    let mut launcher = place.start_ready(&["hook"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    assert_eq!(hear(&alice, &room, "hello")?, "you said hello");
    let count = |text: &str| {
        let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted.iter().filter(|(_, found)| found == text).count()
    };
    assert_eq!(count("hello"), 2);
    let asked = alice.send_text(&room, "and now?")?;
    launcher.wait_until("it was posted", |_| Ok(count("and now?") > 0))?;
    kill(&mut launcher)?;
    let _launcher = place.start_ready(&["hook"])?;
    assert_eq!(body(&replies(&alice, &room, &asked, 1)?[0]), "you said and now?");
    let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
    let ids: Vec<&String> =
        posted.iter().filter(|(_, text)| text == "and now?").map(|(id, _)| id).collect();
    assert!(ids.len() >= 2 && ids.iter().all(|id| **id == asked), "{ids:?}");
    Ok(())
}
