//! Models that fail. There is always something said.

use launcher_testbed::models::{End, Part, Refusal};

use super::*;

fn models(server: &ModelServer) -> Vec<String> {
    server.calls().into_iter().map(|call| call.model).collect()
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(with_spare(&server)), Props::default());
    server.push(Scripted::refuse(Refusal::Overloaded));
    server.push(Scripted::text("").ending(End::Missing));
    assert_eq!(say(&llm, &message(1, "hi"), &props).await, "You said: hi");
    assert_eq!(models(&server), ["main-1"; 3]);
}

#[tokio::test]
async fn another_model_is_asked_where_the_first_one_does_not_help() {
    let server = ModelServer::start().unwrap();
    for refusal in [Refusal::Auth, Refusal::Money, Refusal::NoModel, Refusal::RateLimit(Some(3600))]
    {
        let (llm, props) = (llm(with_spare(&server)), Props::default());
        let before = server.calls().len();
        server.push(Scripted::refuse(refusal));
        assert_eq!(say(&llm, &message(1, "hi"), &props).await, "You said: hi", "{refusal:?}");
        assert_eq!(models(&server)[before..], ["main-1", "spare-1"], "{refusal:?}");
    }
}

#[tokio::test]
async fn when_nothing_helps_the_room_is_told() {
    let server = ModelServer::start().unwrap();
    for (reply, said) in [
        (Scripted::refuse(Refusal::Auth), "My model's provider does not accept my key."),
        (Scripted::refuse(Refusal::Filtered), "My model's provider does not want to answer this."),
        (Scripted::refuse(Refusal::RateLimit(Some(3600))), "I have asked my model too often"),
    ] {
        let (llm, props) = (llm(spec(&server)), Props::default());
        server.push(reply);
        let text = say(&llm, &message(1, "hi"), &props).await;
        assert!(text.starts_with(said), "{text}");
        // An excuse is nothing to be remembered.
        assert!(props.memories.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_was_seen_of_an_answer_stays() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    for _ in 0..2 {
        server.push(Scripted::text("It begins well").ending(End::Cut));
    }
    let text = say(&llm, &message(1, "hi"), &props).await;
    let (seen, excuse) = text.split_once("\n\n").unwrap();
    assert_eq!(seen, "It begins well");
    assert!(excuse.ends_with("Please ask again.") || excuse.contains("few minutes"), "{excuse}");
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn what_is_too_long_is_asked_with_less() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    for number in 0..3 {
        server.push(Scripted::text("yes").usage(None));
        say(&llm, &message(number, &"tea ".repeat(500)), &props).await;
    }
    let before = server.calls().len();
    server.push(Scripted::refuse(Refusal::TooLong(9000, 8192)));
    assert_eq!(say(&llm, &message(9, "and?"), &props).await, "You said: and?");
    let calls = server.calls().split_off(before);
    assert_eq!(calls.len(), 2);
    assert!(calls[1].turns.len() < calls[0].turns.len());
    // And if that does not help either.
    for _ in 0..2 {
        server.push(Scripted::refuse(Refusal::TooLong(9000, 8192)));
    }
    let text = say(&llm, &message(10, "and?"), &props).await;
    assert!(text.starts_with("This is too long for my model."), "{text}");
}

#[tokio::test]
async fn what_surely_does_not_fit_is_not_asked() {
    let server = ModelServer::start().unwrap();
    let mut spec = spec(&server);
    spec.models.insert("main".into(), model(&server, Format::Ollama, "main-1"));
    let (llm, props) = (llm(spec), Props::default());
    let text = say(&llm, &message(1, &"tea ".repeat(30_000)), &props).await;
    assert!(text.starts_with("This is too long for my model."), "{text}");
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn an_answer_has_a_time_limit() {
    let server = ModelServer::start().unwrap();
    let slow = LlmSpec { timeout: Duration::from_millis(900), ..spec(&server) };
    let (llm, props) = (llm(slow), Props::default());
    server.push(Scripted::text("On and").ending(End::Drip));
    let text = say(&llm, &message(1, "hi"), &props).await;
    assert!(text.starts_with("On and\n\nI ran out of time"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_as_long_as_it_may_be_says_so() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    server.push(Scripted::text("Once upon a").ending(End::Length));
    let text = say(&llm, &message(1, "a tale"), &props).await;
    assert_eq!(text, "Once upon a\n\n*(cut: this is as long as I may answer)*");
}

#[tokio::test]
async fn a_server_that_does_not_know_an_end_is_hung_up_on() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    let flood = (0..200).map(|_| Part::Text("x".repeat(1000)));
    server.push(Scripted::text("").and(flood).ending(End::Drip));
    let text = say(&llm, &message(1, "hi"), &props).await;
    assert!(text.ends_with("*(cut: this is as long as I may answer)*"));
    // 500 tokens were asked for.
    assert!(text.len() < 10_000, "{}", text.len());
    assert_eq!(server.calls().len(), 1);
}
