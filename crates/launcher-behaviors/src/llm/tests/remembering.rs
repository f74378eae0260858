//! What is remembered, and what is not any more.

use launcher_core::conversation::MessageKind;

use super::*;

fn thread(message: Message, root: &str) -> Message {
    Message { thread: Some(EventId::new(root)), ..message }
}

fn about(kind: MessageKind, target: &str, body: &str) -> Message {
    Message { kind, target: Some(EventId::new(target)), ..message(99, body) }
}

#[tokio::test]
async fn each_thread_and_room_has_its_own_past() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    say(&llm, &message(1, "room"), &props).await;
    say(&llm, &thread(message(2, "thread"), "$t"), &props).await;
    assert_eq!(turns(&last(&server)), ["thread"]);
    let elsewhere = Message { room: RoomId::new("!other:hs"), ..message(3, "elsewhere") };
    say(&llm, &elsewhere, &props).await;
    assert_eq!(turns(&last(&server)), ["elsewhere"]);
    say(&llm, &thread(message(4, "again"), "$t"), &props).await;
    assert_eq!(turns(&last(&server)), ["thread", "You said: thread", "again"]);
}

#[tokio::test]
async fn what_is_to_be_forgotten_is() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    assert_eq!(say(&llm, &message(1, "!forget"), &props).await, "There was nothing to forget.");
    say(&llm, &message(2, "room"), &props).await;
    say(&llm, &thread(message(3, "thread"), "$t"), &props).await;
    let said = say(&llm, &message(4, "!forget"), &props).await;
    assert!(said.starts_with("I have forgotten what was said in this room."), "{said}");
    say(&llm, &thread(message(5, "more"), "$t"), &props).await;
    assert_eq!(turns(&last(&server)), ["thread", "You said: thread", "more"]);
    let said = say(&llm, &message(6, "!forget all"), &props).await;
    assert!(said.contains("and its threads"), "{said}");
    // Nothing is left of it at rest either.
    assert!(props.memories.lock().unwrap().is_empty());
    say(&llm, &message(7, "new"), &props).await;
    assert_eq!(turns(&last(&server)), ["new"]);
}

#[tokio::test]
async fn an_edit_of_the_one_who_asked_changes_the_past() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    say(&llm, &message(1, "wrogn"), &props).await;
    let edit = about(MessageKind::Edit, "$1", "right");
    let forged = Message { sender: UserId::new("@mallory:hs"), ..edit.clone() };
    assert_eq!(respond(&llm, &forged, &props).await, None);
    let response = respond(&llm, &edit, &props).await.unwrap();
    assert!(response.actions.is_empty());
    assert_eq!(respond(&llm, &about(MessageKind::Edit, "$9", "x"), &props).await, None);
    say(&llm, &message(2, "and?"), &props).await;
    assert_eq!(turns(&last(&server)), ["right", "You said: wrogn", "and?"]);
}

#[tokio::test]
async fn a_message_that_was_taken_back_is_forgotten_with_its_answer() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    say(&llm, &thread(message(1, "secret"), "$t"), &props).await;
    say(&llm, &thread(message(2, "fine"), "$t"), &props).await;
    let redaction = about(MessageKind::Redaction, "$1", "");
    assert!(respond(&llm, &redaction, &props).await.is_some());
    let kept = format!("{:?}", props.memories.lock().unwrap().values().collect::<Vec<_>>());
    assert!(!kept.contains(&format!("{:?}", b"secret").replace(['[', ']'], "")));
    say(&llm, &thread(message(3, "and?"), "$t"), &props).await;
    assert_eq!(turns(&last(&server)), ["fine", "You said: fine", "and?"]);
}

#[tokio::test]
async fn without_a_history_nothing_is_kept() {
    let server = ModelServer::start().unwrap();
    let mut spec = spec(&server);
    spec.history.tokens = 0;
    let (llm, props) = (llm(spec), Props::default());
    say(&llm, &message(1, "one"), &props).await;
    say(&llm, &message(2, "two"), &props).await;
    assert_eq!(turns(&last(&server)), ["two"]);
    assert!(props.memories.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_too_much_is_summed_up_once() {
    let server = ModelServer::start().unwrap();
    let mut spec = spec(&server);
    spec.history = HistorySpec { tokens: 300, summary: true, ..spec.history };
    let (llm, props) = (llm(spec), Props::default());
    for number in 0..3 {
        server.push(Scripted::text("yes").usage(None));
        say(&llm, &message(number, &"tea ".repeat(80)), &props).await;
    }
    server.push(Scripted::text("They like tea."));
    say(&llm, &message(4, "and?"), &props).await;
    let calls = server.calls();
    let [.., summary, question] = calls.as_slice() else { panic!("{}", calls.len()) };
    assert!(summary.system.starts_with("Sum up"), "{}", summary.system);
    assert!(summary.asked.contains("tea tea"));
    assert!(question.system.ends_with("They like tea."), "{}", question.system);
    assert!(question.turns.len() < 7, "{}", question.turns.len());
    let before = server.calls().len();
    say(&llm, &message(5, "more?"), &props).await;
    assert_eq!(server.calls().len(), before + 1);
    assert!(last(&server).system.ends_with("They like tea."));
}

#[tokio::test]
async fn a_past_that_cannot_be_summed_up_is_shortened() {
    let server = ModelServer::start().unwrap();
    let mut spec = spec(&server);
    spec.history = HistorySpec { tokens: 300, summary: true, ..spec.history };
    let (llm, props) = (llm(spec), Props::default());
    for number in 0..3 {
        server.push(Scripted::text("yes").usage(None));
        say(&llm, &message(number, &"tea ".repeat(80)), &props).await;
    }
    server.push(Scripted::refuse(launcher_testbed::models::Refusal::Overloaded));
    assert_eq!(say(&llm, &message(4, "and?"), &props).await, "You said: and?");
    assert!(last(&server).turns.len() < 7);
}

#[tokio::test]
async fn a_record_of_another_version_is_nothing() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    say(&llm, &message(1, "one"), &props).await;
    for value in props.memories.lock().unwrap().values_mut() {
        *value = br#"{"v":2,"threads":{}}"#.to_vec();
    }
    say(&llm, &message(2, "two"), &props).await;
    assert_eq!(turns(&last(&server)), ["two"]);
}
