//! Whole answers, against a server that speaks like a provider.

mod calling;
mod failing;
mod files;
mod remembering;
mod spending;

use std::collections::BTreeMap;

use launcher_core::{
    llm::{model::ModelSpec, model::Provider, spending::Limits},
    names::{EventId, RoomId, UserId},
    spec::HistorySpec,
};
use launcher_runtime::ports::Action;
use launcher_testbed::{
    models::{Format, ModelCall, ModelServer, Reply as Scripted},
    tap::Gate,
};
use url::Url;

use super::*;
use crate::props::Props;

/// An assistant with one model, `main`, of the OpenAI format.
fn spec(server: &ModelServer) -> LlmSpec {
    LlmSpec {
        models: BTreeMap::from([("main".to_owned(), model(server, Format::OpenAi, "main-1"))]),
        model: "main".into(),
        fallback: Vec::new(),
        prompt: "You are {agent}; {user} asks.".into(),
        modes: BTreeMap::new(),
        history: HistorySpec { tokens: 4000, keep: Duration::from_secs(86_400), summary: false },
        images: Some(1 << 20),
        files: Some(1 << 16),
        spending: Limits::default(),
        timezone: "Europe/Madrid".into(),
        tools: launcher_core::spec::ToolsSpec::default(),
        rounds: 4,
        timeout: Duration::from_secs(30),
    }
}

fn model(server: &ModelServer, format: Format, name: &str) -> ModelSpec {
    ModelSpec {
        provider: Provider::named(format.name()).unwrap(),
        url: Url::parse(&server.url(format)).unwrap(),
        key: None,
        model: name.into(),
        max_tokens: 500,
        context: 32_000,
        temperature: None,
        timeout: Duration::from_secs(20),
        price: None,
    }
}

/// With a second model, `spare`, that is asked when the first one fails.
fn with_spare(server: &ModelServer) -> LlmSpec {
    let mut spec = spec(server);
    spec.models.insert("spare".into(), model(server, Format::Anthropic, "spare-1"));
    spec.fallback = vec!["spare".into()];
    spec
}

fn llm(spec: LlmSpec) -> Llm {
    Llm::new(spec, "@bot:hs".into(), Path::new("/"))
}

fn message(number: u32, body: &str) -> Message {
    let (room, event) = (RoomId::new("!r:hs"), EventId::new(format!("${number}")));
    Message { direct: true, ..Message::text(room, event, UserId::new("@alice:hs"), body) }
}

/// What is said to a message. What is remembered is on the stage afterwards.
async fn say(llm: &Llm, message: &Message, props: &Props) -> String {
    let response = respond(llm, message, props).await.unwrap();
    let [Action::Say { text }] = response.actions.as_slice() else { panic!("{response:?}") };
    text.clone()
}

async fn respond(llm: &Llm, message: &Message, props: &Props) -> Option<Response> {
    let response = llm.on_message(message, props).await.unwrap()?;
    props.remember(response.memories.clone()).await.unwrap();
    // The message is settled.
    *props.noted.lock().unwrap() = None;
    Some(response)
}

fn last(server: &ModelServer) -> ModelCall {
    server.calls().pop().unwrap()
}

fn turns(call: &ModelCall) -> Vec<&str> {
    call.turns.iter().map(|(_, text)| text.as_str()).collect()
}

#[tokio::test]
async fn a_model_is_told_its_prompt_and_what_was_said_before() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    assert_eq!(say(&llm, &message(1, "hi"), &props).await, "You said: hi");
    assert_eq!(say(&llm, &message(2, "again"), &props).await, "You said: again");
    let call = last(&server);
    assert!(call.system.starts_with("You are @bot:hs; @alice:hs asks.\n"), "{}", call.system);
    assert_eq!(turns(&call), ["hi", "You said: hi", "again"]);
}

#[tokio::test]
async fn where_several_people_talk_each_message_says_whose_it_is() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    let message = Message { direct: false, ..message(1, "hi") };
    say(&llm, &message, &props).await;
    assert_eq!(turns(&last(&server)), ["@alice:hs: hi"]);
    assert!(last(&server).system.contains("Several people"));
}

#[tokio::test]
async fn a_prefix_chooses_another_model_and_prompt() {
    let server = ModelServer::start().unwrap();
    let mut spec = with_spare(&server);
    let mode = ModeSpec {
        about: "short".into(),
        model: Some("spare".into()),
        prompt: Some("Be very short.".into()),
    };
    spec.modes.insert("!s".into(), mode);
    let (llm, props) = (llm(spec), Props::default());
    assert_eq!(say(&llm, &message(1, "!s hi"), &props).await, "You said: hi");
    let call = last(&server);
    assert_eq!((call.format, call.model.as_str()), (Format::Anthropic, "spare-1"));
    assert!(call.system.starts_with("Be very short."));
    say(&llm, &message(2, "hi"), &props).await;
    assert_eq!(last(&server).model, "main-1");
    let words: Vec<String> = llm.commands(None).into_iter().map(|word| word.name).collect();
    assert_eq!(words, ["!s", "!forget"]);
    assert_eq!(say(&llm, &message(3, "!s"), &props).await, "What do you want to know?");
}

#[tokio::test]
async fn an_answer_is_shown_while_it_is_written() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    server.push(Scripted::text("one two three four").pause(Duration::from_millis(200)));
    assert_eq!(say(&llm, &message(1, "count"), &props).await, "one two three four");
    let drafts = props.drafts.lock().unwrap().clone();
    assert!(!drafts.is_empty());
    assert!(drafts.iter().all(|draft| "one two three four".starts_with(draft)), "{drafts:?}");
}

#[tokio::test]
async fn what_was_said_before_a_pause_is_shown_during_it() {
    let server = ModelServer::start().unwrap();
    let (llm, props, gate) = (llm(spec(&server)), Props::default(), Gate::new());
    server.push(Scripted::text("one two three four").hold(3, &gate));
    let shown = async {
        // The first piece is shown at once, the next one comes right after it.
        while !props.drafts.lock().unwrap().iter().any(|draft| draft.starts_with("one two")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let until_shown = async {
        tokio::time::timeout(Duration::from_secs(30), shown).await.expect("it is not shown");
        gate.open();
    };
    let asked = message(1, "count");
    let (said, ()) = tokio::join!(say(&llm, &asked, &props), until_shown);
    assert_eq!(said, "one two three four");
}

#[tokio::test]
async fn what_it_remembers_and_returns_is_not_printed() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    let response = respond(&llm, &message(1, "my diary"), &props).await.unwrap();
    let printed = format!("{response:?} {llm:?}");
    assert!(!printed.contains("diary") && !printed.contains("asks"), "{printed}");
}

#[tokio::test]
async fn a_room_can_have_a_mode_and_a_model_of_its_own() {
    let server = ModelServer::start().unwrap();
    let mut spec = with_spare(&server);
    let mode = |model: Option<&str>, prompt: &str| ModeSpec {
        about: String::new(),
        model: model.map(str::to_owned),
        prompt: Some(prompt.into()),
    };
    spec.modes.insert("!s".into(), mode(Some("spare"), "Short."));
    spec.modes.insert("!d".into(), mode(None, "Long."));
    let llm = llm(spec);
    for (settings, body, model, prompt) in [
        (vec![("mode", "!s")], "hi", "spare-1", "Short."),
        (vec![("mode", "!s"), ("model", "main")], "hi", "main-1", "Short."),
        (vec![("model", "spare")], "!d hi", "spare-1", "Long."),
        (vec![("model", "main")], "!s hi", "spare-1", "Short."),
        (vec![("mode", "off")], "hi", "main-1", "You are"),
        // What another config had.
        (vec![("mode", "!x"), ("model", "gone")], "hi", "main-1", "You are"),
    ] {
        let set = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let props = Props { settings: set.collect(), ..Props::default() };
        say(&llm, &message(1, body), &props).await;
        let call = last(&server);
        assert_eq!(call.model, model, "{settings:?}");
        assert!(call.system.starts_with(prompt), "{settings:?}");
    }
}
