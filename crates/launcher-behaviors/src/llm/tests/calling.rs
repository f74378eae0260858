//! Tools: who agrees, what is called, and how often.

use std::sync::Mutex;

use launcher_core::spec::Requirement;
use launcher_runtime::ports::Answered;
use launcher_testbed::models::Part;
use serde_json::{Map, Value, json};

use super::*;
use crate::llm::{
    provider::Tool,
    tools::{Offer, Outcome, Policy},
};

/// Tools that write down what was called, and hang if they are told to.
#[derive(Debug, Default)]
struct Bench {
    called: Mutex<Vec<String>>,
    /// Instead of one of each kind.
    offered: Option<Vec<Offer>>,
    hangs: bool,
    takes: Duration,
}

impl Bench {
    fn called(&self) -> Vec<String> {
        self.called.lock().unwrap().clone()
    }
}

fn offer(name: &str, policy: Policy) -> Offer {
    let tool = Tool {
        name: name.into(),
        description: "does something".into(),
        schema: json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
    };
    Offer { tool, policy }
}

fn ask() -> Policy {
    Policy::Ask {
        users: vec!["@alice:hs".into()],
        require: Requirement::Verified,
        timeout: Duration::from_secs(60),
    }
}

#[async_trait]
impl Tools for Bench {
    async fn list(&self) -> Vec<Offer> {
        let usual = || {
            vec![offer("look", Policy::Reads), offer("act", Policy::Acts), offer("deploy", ask())]
        };
        self.offered.clone().unwrap_or_else(usual)
    }

    async fn call(&self, name: &str, arguments: &Map<String, Value>) -> Outcome {
        let call = format!("{name} {}", Value::Object(arguments.clone()));
        self.called.lock().unwrap().push(call);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.takes).await;
        Outcome { text: format!("done: {name}"), failed: false }
    }
}

fn assistant(server: &ModelServer, bench: &Arc<Bench>) -> Llm {
    Llm::with_tools(spec(server), "@bot:hs".into(), bench.clone())
}

#[tokio::test]
async fn a_tool_is_called_and_the_answer_goes_on() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    let look = |arguments: &str| Part::Call { name: "look".into(), arguments: arguments.into() };
    server.push(Scripted::text("Let me see.").and([look(r#"{"a":1}"#), look(r#"{"a":2}"#)]));
    let text = say(&assistant(&server, &bench), &message(1, "look"), &props).await;
    assert_eq!(text, "Let me see.\n\nThe tools said: done: look | done: look");
    assert_eq!(bench.called(), [r#"look {"a":1}"#, r#"look {"a":2}"#]);
    assert_eq!(server.calls()[0].tools, ["look", "act", "deploy"]);
    assert!(props.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_needs_a_person_is_done_when_one_agrees() {
    let server = ModelServer::start().unwrap();
    let alice = || UserId::new("@alice:hs");
    for (answer, called, said) in [
        (Some(Answered::Yes(alice())), 1, "done: deploy"),
        (Some(Answered::No(alice())), 0, "A person was asked and declined."),
        (None, 0, "A person was asked and did not answer in time."),
    ] {
        let (bench, props) = (Arc::new(Bench::default()), Props::default());
        props.answers.lock().unwrap().extend(answer);
        let text =
            say(&assistant(&server, &bench), &message(1, r#"use deploy {"a":1}"#), &props).await;
        assert!(text.contains(said), "{text}");
        assert_eq!(bench.called().len(), called);
        let asked = props.asked.lock().unwrap().clone();
        let [question] = asked.as_slice() else { panic!("{}", asked.len()) };
        assert!(question.text.contains("`deploy`") && question.text.contains("\"a\": 1"));
        assert_eq!(question.users, ["@alice:hs"]);
        assert_eq!(question.require, Requirement::Verified);
    }
}

#[tokio::test]
async fn what_is_not_right_is_not_called() {
    let server = ModelServer::start().unwrap();
    let long = json!({"a": "x".repeat(5000)}).to_string();
    for (name, arguments, said) in [
        ("look", r#"{"a":"#, "The arguments were cut off"),
        ("rm -rf /", "{}", "There is no tool of this name."),
        ("deploy", long.as_str(), "The arguments are too long to be shown"),
    ] {
        let (bench, props) = (Arc::new(Bench::default()), Props::default());
        server.push(Scripted::raw_call(name, arguments));
        let text = say(&assistant(&server, &bench), &message(1, "go"), &props).await;
        assert!(text.contains(said), "{text}");
        assert!(bench.called().is_empty());
        assert!(props.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn calling_has_an_end() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    for _ in 0..20 {
        server.push(Scripted::call("look", &json!({})));
    }
    let text = say(&assistant(&server, &bench), &message(1, "look"), &props).await;
    assert!(text.starts_with("I called as much as I may"), "{text}");
    assert_eq!(bench.called().len(), 4);
    assert_eq!(server.calls().len(), 6);
    assert!(last(&server).results[0].text.starts_with("Nothing more can be called"));
}

#[tokio::test]
async fn a_reply_cannot_call_without_end() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    let calls = (0..60).map(|_| Part::Call { name: "look".into(), arguments: "{}".into() });
    server.push(Scripted::text("").and(calls));
    say(&assistant(&server, &bench), &message(1, "look"), &props).await;
    assert_eq!(bench.called().len(), 16);
    let results = last(&server).results;
    assert_eq!(results.len(), 60);
    assert!(results[16].text.starts_with("These are too many calls"));
    // What was said is noted, and what came of all of it.
    assert_eq!(*props.notes.lock().unwrap(), 2);
}

#[tokio::test]
async fn what_acts_is_noted_before_and_after_and_the_rest_along_with_it() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    let call = |name: &str| Part::Call { name: name.into(), arguments: "{}".into() };
    server.push(Scripted::text("").and(["look", "look", "act", "look", "gone"].map(call)));
    say(&assistant(&server, &bench), &message(1, "go"), &props).await;
    assert_eq!(bench.called(), ["look {}", "look {}", "act {}", "look {}"]);
    assert_eq!(*props.notes.lock().unwrap(), 4);
}

#[tokio::test]
async fn what_takes_too_long_is_the_last_thing_that_is_called() {
    let server = ModelServer::start().unwrap();
    let takes = Duration::from_millis(1200);
    let (bench, props) = (Arc::new(Bench { takes, ..Bench::default() }), Props::default());
    let calls = (0..5).map(|_| Part::Call { name: "look".into(), arguments: "{}".into() });
    server.push(Scripted::text("Let me see.").and(calls));
    let hasty = LlmSpec { timeout: Duration::from_secs(1), ..spec(&server) };
    let llm = Llm::with_tools(hasty, "@bot:hs".into(), bench.clone());
    let text = say(&llm, &message(1, "look"), &props).await;
    assert!(text.starts_with("Let me see.\n\nI ran out of time"), "{text}");
    assert_eq!(bench.called().len(), 1);
    assert_eq!(server.calls().len(), 1);
}

/// Cuts an answer off while a tool works.
async fn cut_off(server: &ModelServer, question: &str) -> (Arc<Bench>, Props) {
    let bench = Arc::new(Bench { hangs: true, ..Bench::default() });
    let props = Props::default();
    let (llm, question) = (assistant(server, &bench), message(1, question));
    cut_off_in(&llm, &bench, &question, &props).await;
    (bench, Props { attempt: 2, ..props })
}

async fn cut_off_in(llm: &Llm, bench: &Bench, question: &Message, props: &Props) {
    tokio::select! {
        said = say(llm, question, props) => panic!("{said}"),
        () = async {
            while bench.called().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn what_acts_is_not_done_again_after_a_kill() {
    let server = ModelServer::start().unwrap();
    let (_, props) = cut_off(&server, "use act {}").await;
    let bench = Arc::new(Bench::default());
    let text = say(&assistant(&server, &bench), &message(1, "use act {}"), &props).await;
    assert!(text.contains("it is not known what it did"), "{text}");
    assert!(bench.called().is_empty());
    // The model was not asked again what it had answered already.
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn what_was_interrupted_is_said_also_if_its_tool_is_gone_or_called_something_else() {
    let server = ModelServer::start().unwrap();
    for name in ["act", "deploy"] {
        let question = format!("use {name} {{}}");
        let bench = Arc::new(Bench { hangs: true, ..Bench::default() });
        let props = Props::default();
        props.answers.lock().unwrap().push_back(Answered::Yes(UserId::new("@alice:hs")));
        let asked = message(1, &question);
        cut_off_in(&assistant(&server, &bench), &bench, &asked, &props).await;
        for offered in [vec![], vec![offer(name, Policy::Reads)], vec![offer(name, ask())]] {
            let props = Props { attempt: 2, noted: copy(&props.noted), ..Props::default() };
            let bench = Arc::new(Bench { offered: Some(offered), ..Bench::default() });
            let text = say(&assistant(&server, &bench), &asked, &props).await;
            assert!(text.contains("it is not known what it did"), "{text}");
            assert!(bench.called().is_empty() && props.asked.lock().unwrap().is_empty());
        }
    }
}

fn copy<T: Clone>(value: &Mutex<T>) -> Mutex<T> {
    Mutex::new(value.lock().unwrap().clone())
}

#[tokio::test]
async fn each_call_is_a_question_of_its_own_whatever_the_provider_calls_it() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    let yes = || Answered::Yes(UserId::new("@alice:hs"));
    props.answers.lock().unwrap().extend([yes(), yes(), yes()]);
    let call = || Part::Call { name: "deploy".into(), arguments: "{}".into() };
    // Their ids begin anew with each reply of this server.
    server.push(Scripted::text("").and([call(), call()]));
    server.push(Scripted::text("").and([call()]));
    say(&assistant(&server, &bench), &message(1, "deploy"), &props).await;
    assert_eq!(bench.called().len(), 3);
    let mut about: Vec<String> =
        props.asked.lock().unwrap().iter().map(|one| one.about.clone()).collect();
    about.sort();
    about.dedup();
    assert_eq!(about.len(), 3, "{about:?}");
}

#[tokio::test]
async fn what_some_have_agreed_to_is_asked_again_if_others_have_to() {
    let server = ModelServer::start().unwrap();
    let with = |users: &[&str], require| Policy::Ask {
        users: users.iter().map(ToString::to_string).collect(),
        require,
        timeout: Duration::from_secs(60),
    };
    let mut about = std::collections::BTreeSet::new();
    for policy in [
        with(&["@alice:hs"], Requirement::Verified),
        with(&["@alice:hs"], Requirement::Trusted),
        with(&["@alice:hs", "@bob:hs"], Requirement::Verified),
        with(&["@bob:hs"], Requirement::Verified),
    ] {
        let offered = Some(vec![offer("deploy", policy)]);
        let (bench, props) = (Arc::new(Bench { offered, ..Bench::default() }), Props::default());
        say(&assistant(&server, &bench), &message(1, "use deploy {}"), &props).await;
        about.insert(props.asked.lock().unwrap()[0].about.clone());
    }
    assert_eq!(about.len(), 4, "{about:?}");
}

#[tokio::test]
async fn what_is_agreed_to_is_what_is_seen() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    let text = "a\n```\n\nI want to call `look`.\u{202e}";
    server.push(Scripted::call("deploy", &json!({"a": 1, "b": text})));
    say(&assistant(&server, &bench), &message(1, "deploy"), &props).await;
    let asked = props.asked.lock().unwrap()[0].text.clone();
    let shown = "{\n  \"a\": 1,\n  \"b\": \"a\\n```\\n\\nI want to call `look`.\\u202e\"\n}";
    assert_eq!(asked, format!("I want to call `deploy` with:\n````json\n{shown}\n````"));
}

#[tokio::test]
async fn what_only_reads_is_done_again_after_a_kill() {
    let server = ModelServer::start().unwrap();
    let (_, props) = cut_off(&server, "use look {}").await;
    let bench = Arc::new(Bench::default());
    let text = say(&assistant(&server, &bench), &message(1, "use look {}"), &props).await;
    assert_eq!(text, "The tools said: done: look");
    assert_eq!(bench.called(), ["look {}"]);
}

#[tokio::test]
async fn work_of_another_version_is_not_done_again() {
    let server = ModelServer::start().unwrap();
    let (bench, props) = (Arc::new(Bench::default()), Props::default());
    props.note(b"{\"v\":9}".to_vec()).await.unwrap();
    let text = say(&assistant(&server, &bench), &message(1, "use act {}"), &props).await;
    assert!(text.starts_with("I was interrupted"), "{text}");
    assert!(server.calls().is_empty());
}
