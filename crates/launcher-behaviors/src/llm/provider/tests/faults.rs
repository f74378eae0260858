//! What goes wrong, and what is shown of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use launcher_core::llm::fault::FaultKind;

use super::*;
use crate::llm::provider::turn::{MOST_ARGUMENTS, MOST_CALLS};

/// A question that must not be seen anywhere but by the model.
const QUESTION: &str = "my diary says xyzzy";

async fn fault(model: &Model) -> ModelFault {
    answer(model, request(&[user(QUESTION)], &[])).await.unwrap_err()
}

/// A model that is given up soon.
fn hasty(server: &ModelServer, format: Format, limits: Limits) -> Model {
    let transport = Transport::shared().limited(limits);
    let spec = spec(server, format);
    Model { inner: connect(&spec, transport), ..Model::new(&spec, &Transport::shared()) }
}

/// Waits for a machine that has much to do.
const PATIENT: Limits = Limits { silence: Duration::from_secs(60), ..HASTY };

const HASTY: Limits =
    Limits { silence: Duration::from_millis(400), total: Duration::from_secs(60), bytes: 16 << 20 };

#[tokio::test]
async fn each_provider_says_in_its_own_words_why_it_refuses() {
    let server = ModelServer::start().unwrap();
    let long = FaultKind::TooLong { tokens: Some(13_392), limit: Some(8192) };
    for format in Format::ALL {
        let model = model(&server, format);
        for (refusal, kind) in [
            (Refusal::Auth, FaultKind::Auth),
            (Refusal::RateLimit(Some(7)), FaultKind::RateLimit),
            (Refusal::RateLimit(None), FaultKind::RateLimit),
            (Refusal::Money, FaultKind::Money),
            (Refusal::Overloaded, FaultKind::Overloaded),
            (Refusal::TooLong(13_392, 8192), long),
            (Refusal::NoModel, FaultKind::BadRequest),
        ] {
            server.push(Scripted::refuse(refusal));
            let fault = fault(&model).await;
            assert_eq!(fault.kind, kind, "{format:?} {refusal:?}");
            assert!(!fault.charged, "{format:?} {refusal:?}");
            assert_eq!(fault.request_id.as_deref(), Some("req_4711"), "{format:?} {refusal:?}");
            if let Refusal::RateLimit(wait) = refusal {
                let wait = wait.map(|wait| Duration::from_secs(u64::from(wait)));
                assert_eq!(fault.retry_after, wait, "{format:?}");
            }
        }
    }
    for format in [Format::OpenAi, Format::LlamaCpp, Format::Gemini] {
        server.push(Scripted::refuse(Refusal::Filtered));
        assert_eq!(fault(&model(&server, format)).await.kind, FaultKind::Filtered, "{format:?}");
    }
}

#[tokio::test]
async fn an_error_can_come_in_the_middle_of_an_answer() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        server.push(Scripted::text("Well, ").ending(End::Error(Refusal::Overloaded)));
        let model = model(&server, format);
        let turns = [user(QUESTION)];
        let mut answering = model.ask(request(&turns, &[])).unwrap();
        assert!(matches!(answering.next().await, Ok(Piece::Text)), "{format:?}");
        let fault = answering.next().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Overloaded, "{format:?}: {fault}");
        assert!(fault.charged, "{format:?}");
        assert_eq!(answering.so_far(), "Well, ");
        // It stays at its end.
        assert!(answering.next().await.is_err());
    }
}

#[tokio::test]
async fn an_answer_without_its_end_is_none() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        for (end, kinds) in [
            (End::Missing, [FaultKind::Broken, FaultKind::Broken]),
            (End::Cut, [FaultKind::Network, FaultKind::Broken]),
        ] {
            server.push(Scripted::text("Half of").ending(end.clone()));
            let fault = fault(&model(&server, format)).await;
            assert!(kinds.contains(&fault.kind), "{format:?} {end:?}: {fault}");
            assert!(fault.charged);
        }
    }
}

#[tokio::test]
async fn an_answer_with_nothing_in_it_is_none() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        for (end, shown) in [
            (End::Well, "the answer is empty: no text, and nothing was called"),
            (End::Length, "the answer is empty: `max_tokens` was used up before the first word"),
        ] {
            server.push(Scripted::text(" \n").ending(end));
            let fault = fault(&model(&server, format)).await;
            assert_eq!(fault.kind, FaultKind::Empty, "{format:?}: {fault}");
            assert_eq!(fault.to_string(), shown, "{format:?}");
            assert_eq!(fault.usage.map(|usage| usage.input), Some(9), "{format:?}");
        }
    }
}

#[tokio::test]
async fn a_filter_can_end_an_answer() {
    let server = ModelServer::start().unwrap();
    for format in [Format::OpenAi, Format::Anthropic, Format::Gemini, Format::LlamaCpp] {
        for text in ["", "I will tell "] {
            server.push(Scripted::text(text).ending(End::Filtered));
            let fault = fault(&model(&server, format)).await;
            assert_eq!(fault.kind, FaultKind::Filtered, "{format:?} {text:?}: {fault}");
        }
    }
}

#[tokio::test]
async fn a_long_answer_says_that_it_was_cut() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        server.push(Scripted::text("Once upon a").ending(End::Length));
        let (reply, _) =
            answer(&model(&server, format), request(&[user("a tale")], &[])).await.unwrap();
        assert!(reply.cut, "{format:?}");
        assert_eq!(reply.said.text, "Once upon a");
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_told_from_one() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        let model = model(&server, format);
        for (reply, kind) in [
            (Scripted::raw(502, "text/html", "<h1>Bad gateway</h1>"), FaultKind::Overloaded),
            (Scripted::raw(200, "text/html", "<h1>Log in first</h1>"), FaultKind::Broken),
            (Scripted::raw(302, "text/html", ""), FaultKind::BadRequest),
            (Scripted::raw(500, "application/json", ""), FaultKind::Overloaded),
            (Scripted::text("").ending(End::Nothing), FaultKind::Network),
        ] {
            let name = format!("{format:?} {:?}", reply);
            server.push(reply);
            let fault = fault(&model).await;
            assert_eq!(fault.kind, kind, "{name}: {fault}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing() {
    let server = ModelServer::start().unwrap();
    let models = Format::ALL.map(|format| model(&server, format));
    drop(server);
    for model in models {
        let fault = fault(&model).await;
        assert_eq!(fault.kind, FaultKind::Network);
        assert!(!fault.charged);
        assert_eq!(
            fault.to_string(),
            "no connection to the provider: not connected: connection refused"
        );
    }
}

#[tokio::test]
async fn silence_has_an_end() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        let model = hasty(&server, format, HASTY);
        server.push(Scripted::text("And then").ending(End::Silence));
        let said = fault(&model).await;
        let shown = "no connection to the provider: nothing more came for 400ms";
        assert_eq!((said.kind, said.to_string().as_str()), (FaultKind::Network, shown));
    }
    // Nothing at all: the head of the answer comes with its first chunk.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let spec = ModelSpec { url: Url::parse(&url).unwrap(), ..spec(&server, Format::Anthropic) };
    let model = Model {
        inner: connect(&spec, Transport::shared().limited(HASTY)),
        ..Model::new(&spec, &Transport::shared())
    };
    let fault = fault(&model).await;
    assert_eq!(fault.to_string(), "no connection to the provider: no answer within 400ms");
}

#[tokio::test]
async fn an_answer_that_drips_has_an_end() {
    let server = ModelServer::start().unwrap();
    let limits = Limits { total: Duration::from_millis(700), ..HASTY };
    for format in Format::ALL {
        let started = Instant::now();
        server.push(Scripted::text("On and on").ending(End::Drip));
        let fault = fault(&hasty(&server, format, limits)).await;
        assert_eq!(fault.kind, FaultKind::Broken, "{format:?}: {fault}");
        assert!(fault.to_string().contains("not complete within 700ms"), "{fault}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn an_answer_without_measure_is_given_up() {
    let server = ModelServer::start().unwrap();
    for format in [Format::OpenAi, Format::Ollama] {
        server.push(Scripted::text("").ending(End::Line(64 << 20)));
        let fault = fault(&model(&server, format)).await;
        assert_eq!(fault.kind, FaultKind::Broken, "{format:?}: {fault}");
        assert!(fault.to_string().contains("more than 1048576 bytes"), "{fault}");
    }
    // However short its lines are.
    let limits = Limits { bytes: 100_000, ..PATIENT };
    for format in Format::ALL {
        server.push(Scripted::text(&"On and on ".repeat(3000)).ending(End::Drip));
        let model = hasty(&server, format, limits);
        let roomy = Model { max_tokens: 100_000, ..model };
        let fault = fault(&roomy).await;
        assert!(fault.to_string().contains("more than 100000 bytes"), "{format:?}: {fault}");
    }
}

#[tokio::test]
async fn small_pieces_count_as_more_than_they_are() {
    let server = ModelServer::start().unwrap();
    let limits = Limits { bytes: 50_000, ..PATIENT };
    for (chunks, enough) in [(Chunks::Events, true), (Chunks::Bytes(1), false)] {
        // Some ten thousand bytes.
        server.push(Scripted::text(&"la ".repeat(50)).chunks(chunks));
        let model = hasty(&server, Format::OpenAi, limits);
        let answered = answer(&model, request(&[user("sing")], &[])).await;
        assert_eq!(answered.is_ok(), enough, "{chunks:?}");
    }
}

#[tokio::test]
async fn what_is_not_shown_has_a_measure_too() {
    let server = ModelServer::start().unwrap();
    // 500 tokens were asked for.
    for format in Format::ALL {
        let model = model(&server, format);
        let thoughts = |count: usize| (0..count).map(|_| Part::Thought("hm ".repeat(100)));
        server.push(Scripted::text("").and(thoughts(3)).and([Part::Text("Yes.".into())]));
        let (reply, pieces) = answer(&model, request(&[user("hi")], &[])).await.unwrap();
        assert_eq!((reply.said.text.as_str(), pieces.concat().as_str()), ("Yes.", "Yes."));
        server.push(Scripted::text("").and(thoughts(300)).ending(End::Drip));
        let fault = fault(&model).await;
        assert!(fault.to_string().ends_with("longer than it may be"), "{format:?}: {fault}");
        assert!(fault.charged);
    }
    for format in [Format::OpenAi, Format::Anthropic, Format::LlamaCpp] {
        let arguments = json!({"place": "x".repeat(100_000)}).to_string();
        server.push(Scripted::raw_call("weather", &arguments));
        let model = model(&server, format);
        let turns = [user("hi")];
        let fault = answer(&model, request(&turns, &[tool()])).await.unwrap_err();
        assert!(fault.to_string().ends_with("longer than it may be"), "{format:?}: {fault}");
        assert!(fault.charged);
    }
}

#[tokio::test]
async fn a_reply_that_calls_too_much_is_no_answer() {
    let server = ModelServer::start().unwrap();
    let call = |arguments: &str| Part::Call { name: "weather".into(), arguments: arguments.into() };
    let long = json!({"place": "x".repeat(MOST_ARGUMENTS / 2)}).to_string();
    for format in Format::ALL {
        let roomy = Model { max_tokens: 100_000, ..model(&server, format) };
        for (calls, enough) in [
            (vec![call("{}"); MOST_CALLS], true),
            (vec![call("{}"); MOST_CALLS + 1], false),
            (vec![call(&long)], true),
            (vec![call(&long), call(&long)], false),
        ] {
            server.push(Scripted::text("").and(calls));
            let answered = answer(&roomy, request(&[user("hi")], &[tool()])).await;
            assert_eq!(answered.is_ok(), enough, "{format:?}");
            if let Err(fault) = answered {
                assert!(fault.to_string().ends_with("too much called at once"), "{fault}");
                assert_eq!((fault.kind, fault.charged), (FaultKind::Broken, true));
            }
        }
    }
}

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_keys_nor_questions_are_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = ModelServer::start().unwrap();
    let mut shown = String::new();
    for format in Format::ALL {
        let spec = spec(&server, format);
        let model = Model::new(&spec, &Transport::shared());
        let turns = [user(QUESTION)];
        let asked = request(&turns, &[]);
        let (reply, _) = answer(&model, asked).await.unwrap();
        shown += &format!("{spec:?} {model:?} {:?} {reply:?} {turns:?}", model.ask(asked).unwrap());
        for refusal in [Refusal::NoModel, Refusal::Auth, Refusal::Filtered] {
            for reply in [
                Scripted::refuse(refusal),
                Scripted::text("ha").ending(End::Error(refusal)),
                Scripted::raw(500, "text/plain", &format!("{QUESTION} {KEY}")),
                Scripted::raw(200, "text/plain", &format!("{QUESTION} {KEY}")),
            ] {
                server.push(reply);
                let fault = fault(&model).await;
                shown += &format!("{fault} {fault:?}\n");
            }
        }
    }
    drop(server);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for (name, text) in [("shown", &shown), ("logged", &logged)] {
        for secret in [KEY, "xyzzy"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{name}");
        }
    }
}
