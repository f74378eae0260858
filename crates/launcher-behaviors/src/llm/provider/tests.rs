//! Every provider's format, against a server that speaks all of them.

mod faults;

use std::time::Instant;

use launcher_core::llm::spending::Usage;
use launcher_testbed::models::{
    Chunks, End, Format, ModelServer, Part, Refusal, Reply as Scripted,
};
use serde_json::json;
use url::Url;

use super::*;

const KEY: &str = "sk-secret-4711";

fn provider(format: Format) -> Provider {
    Provider::named(format.name()).unwrap()
}

fn spec(server: &ModelServer, format: Format) -> ModelSpec {
    ModelSpec {
        provider: provider(format),
        url: Url::parse(&server.url(format)).unwrap(),
        key: Some(Secret::new(KEY.to_owned())),
        model: "test-model-1".into(),
        max_tokens: 500,
        context: 8192,
        temperature: Some(300),
        timeout: Duration::from_secs(20),
        price: None,
    }
}

fn model(server: &ModelServer, format: Format) -> Model {
    Model::new(&spec(server, format), &Transport::shared())
}

fn user(text: &str) -> Turn {
    Turn::User { text: text.into(), images: Vec::new() }
}

fn tool() -> Tool {
    Tool {
        name: "weather".into(),
        description: "Says what the weather is.".into(),
        schema: json!({
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        }),
    }
}

fn request<'a>(turns: &'a [Turn], tools: &'a [Tool]) -> ModelRequest<'a> {
    ModelRequest { system: "Be short.", turns, tools, max_tokens: None }
}

/// The whole answer, and the pieces it came in.
async fn answer(
    model: &Model,
    request: ModelRequest<'_>,
) -> Result<(Reply, Vec<String>), ModelFault> {
    let mut answering = model.ask(request)?;
    let mut pieces: Vec<String> = Vec::new();
    loop {
        match answering.next().await? {
            Piece::Text => pieces.push(answering.so_far()[pieces.concat().len()..].to_owned()),
            Piece::Done(reply) => {
                assert_eq!(answering.so_far(), pieces.concat());
                return Ok((*reply, pieces));
            }
        }
    }
}

#[tokio::test]
async fn a_text_comes_in_pieces_and_with_its_count() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        server.push(Scripted::text("Hello, how are you?").usage(Some((21, 4))));
        let turns = [user("hi"), Turn::Assistant(Said::text("Hello.")), user("How are you?")];
        let (reply, pieces) = answer(&model(&server, format), request(&turns, &[])).await.unwrap();
        assert_eq!(reply.said.text, "Hello, how are you?", "{format:?}");
        assert_eq!(pieces, ["Hello, ", "how ", "are ", "you?"], "{format:?}");
        assert_eq!(reply.usage, Some(Usage { input: 21, cached: 0, output: 4 }), "{format:?}");
        assert!(!reply.cut && reply.said.calls.is_empty());
    }
}

#[tokio::test]
async fn a_question_says_what_it_should() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        let turns = [user("hi"), Turn::Assistant(Said::text("Hello.")), user("How are you?")];
        answer(&model(&server, format), request(&turns, &[tool()])).await.unwrap();
        let call = server.calls().pop().unwrap();
        assert_eq!(call.format, format);
        assert_eq!(call.model, "test-model-1");
        assert_eq!(call.system, "Be short.");
        let said: Vec<(&str, &str)> =
            call.turns.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
        assert_eq!(said, [("user", "hi"), ("assistant", "Hello."), ("user", "How are you?")]);
        assert_eq!(call.tools, ["weather"]);
        assert_eq!(call.max_tokens, Some(500), "{format:?}");
        assert!(call.body.to_string().contains("0.3"), "{format:?}");
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert!(call.header("user-agent").unwrap().starts_with("launcher/"));
    }
}

#[tokio::test]
async fn a_key_is_in_its_header_and_nowhere_else() {
    let server = ModelServer::start().unwrap();
    let turns = [user("hi")];
    for (format, header, value) in [
        (Format::OpenAi, "authorization", format!("Bearer {KEY}")),
        (Format::LlamaCpp, "authorization", format!("Bearer {KEY}")),
        (Format::Ollama, "authorization", format!("Bearer {KEY}")),
        (Format::Anthropic, "x-api-key", KEY.to_owned()),
        (Format::Gemini, "x-goog-api-key", KEY.to_owned()),
    ] {
        answer(&model(&server, format), request(&turns, &[])).await.unwrap();
        let call = server.calls().pop().unwrap();
        assert_eq!(call.header(header), Some(value.as_str()));
        assert!(!call.path.contains(KEY), "{}", call.path);
        assert!(!call.body.to_string().contains(KEY));
        let count = call.headers.iter().filter(|(_, value)| value.contains(KEY)).count();
        assert_eq!(count, 1, "{format:?}");
    }
    // Servers without keys get none: some refuse an empty one.
    for format in [Format::OpenAi, Format::LlamaCpp, Format::Ollama] {
        let bare = ModelSpec { key: None, ..spec(&server, format) };
        let model = Model::new(&bare, &Transport::shared());
        answer(&model, request(&turns, &[])).await.unwrap();
        assert_eq!(server.calls().pop().unwrap().header("authorization"), None, "{format:?}");
    }
}

#[tokio::test]
async fn ollama_is_told_how_much_fits() {
    let server = ModelServer::start().unwrap();
    answer(&model(&server, Format::Ollama), request(&[user("hi")], &[])).await.unwrap();
    let body = server.calls().pop().unwrap().body;
    assert_eq!(body["options"]["num_ctx"], json!(8192));
    assert_eq!(body["keep_alive"], json!("10m"));
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_is_understood() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        let model = model(&server, format);
        server.push(Scripted::text("Let me look. ").and([
            call("weather", r#"{"place":"Sóller"}"#),
            call("weather", r#"{"place":"Inca"}"#),
        ]));
        let mut turns = vec![user("What is the weather?")];
        let (reply, _) = answer(&model, request(&turns, &[tool()])).await.unwrap();
        let places: Vec<_> =
            reply.said.calls.iter().map(|call| call.arguments["place"].clone()).collect();
        assert_eq!(places, [json!("Sóller"), json!("Inca")], "{format:?}");
        assert!(reply.said.calls.iter().all(|call| call.name == "weather" && !call.garbled));
        let results =
            reply.said.calls.iter().zip(["sunny", "rain"]).map(|(call, text)| CallResult {
                id: call.id.clone(),
                name: call.name.clone(),
                text: text.into(),
                failed: text == "rain",
            });
        let results = results.collect();
        // As it is after it was written down and read again.
        let said = serde_json::to_string(&reply.said).unwrap();
        turns.push(Turn::Assistant(serde_json::from_str(&said).unwrap()));
        turns.push(Turn::Results(results));
        let (reply, _) = answer(&model, request(&turns, &[tool()])).await.unwrap();
        let asked = server.calls().pop().unwrap();
        assert_eq!(asked.results.len(), 2, "{format:?}: {}", asked.body);
        assert!(asked.results[0].text.contains("sunny"), "{format:?}: {}", asked.body);
        assert!(asked.results[1].text.contains("rain"), "{format:?}: {}", asked.body);
        assert_eq!(reply.said.text, "The tools said: sunny | rain", "{format:?}: {}", asked.body);
        let whole = asked.body.to_string();
        for word in ["Sóller", "Let me look.", "Inca"] {
            assert!(whole.contains(word), "{format:?} {word}: {whole}");
        }
        if format == Format::Gemini {
            // Without its signature, a thinking model refuses its own call.
            assert!(whole.contains("c2lnbmVk"), "{whole}");
        }
    }
}

#[tokio::test]
async fn another_model_understands_what_the_first_one_called() {
    let server = ModelServer::start().unwrap();
    for from in Format::ALL {
        for to in Format::ALL {
            server.push(Scripted::call("weather", &json!({"place": "Inca"})));
            let mut turns = vec![user("What is the weather?")];
            let (reply, _) =
                answer(&model(&server, from), request(&turns, &[tool()])).await.unwrap();
            let call = reply.said.calls[0].clone();
            turns.push(Turn::Assistant(reply.said));
            turns.push(Turn::Results(vec![CallResult {
                id: call.id,
                name: call.name,
                text: "sunny".into(),
                failed: false,
            }]));
            answer(&model(&server, to), request(&turns, &[tool()])).await.unwrap();
            let asked = server.calls().pop().unwrap();
            assert!(asked.results[0].text.contains("sunny"), "{from:?} {to:?}: {}", asked.body);
            assert!(asked.body.to_string().contains("Inca"), "{from:?} {to:?}");
        }
    }
}

fn call(name: &str, arguments: &str) -> Part {
    Part::Call { name: name.into(), arguments: arguments.into() }
}

#[tokio::test]
async fn arguments_that_were_cut_off_are_marked() {
    let server = ModelServer::start().unwrap();
    for format in [Format::OpenAi, Format::Anthropic, Format::LlamaCpp] {
        server.push(Scripted::raw_call("weather", r#"{"place":"Pal"#).ending(End::Length));
        let (reply, _) =
            answer(&model(&server, format), request(&[user("hi")], &[tool()])).await.unwrap();
        assert!(reply.said.calls[0].garbled, "{format:?}");
        assert!(reply.cut);
    }
}

#[tokio::test]
async fn a_picture_is_seen_as_it_is() {
    let server = ModelServer::start().unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for format in Format::ALL {
        let model = model(&server, format);
        for media_type in Picture::TYPES.into_iter().filter(|one| model.sees(one)) {
            let picture = Picture { media_type: media_type.into(), bytes: bytes.clone() };
            let turns = [Turn::User { text: "What is this?".into(), images: vec![picture] }];
            let (reply, _) = answer(&model, request(&turns, &[])).await.unwrap();
            let asked = server.calls().pop().unwrap();
            assert_eq!(asked.images.len(), 1, "{format:?}: {:.900}", asked.body);
            assert!(reply.said.text.contains(&asked.images[0]), "{format:?}");
            assert_eq!(asked.images[0], sha256(&bytes), "{format:?}");
            let told = format == Format::Ollama || asked.body.to_string().contains(media_type);
            assert!(told, "{format:?} {media_type}");
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn where_an_answer_is_cut_into_chunks_does_not_matter() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        for size in [1, 7] {
            let scripted =
                Scripted::text("Größe 🦀 \"x\"").and([call("weather", r#"{"place":"ä"}"#)]);
            server.push(scripted.chunks(Chunks::Bytes(size)).crlf());
            let (reply, pieces) =
                answer(&model(&server, format), request(&[user("hi")], &[tool()])).await.unwrap();
            assert_eq!(pieces.concat(), "Größe 🦀 \"x\"", "{format:?} {size}");
            assert_eq!(reply.said.calls[0].arguments["place"], json!("ä"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_wants_any_more_is_hung_up_on() {
    let server = ModelServer::start().unwrap();
    for format in Format::ALL {
        server.push(Scripted::text("never ending").ending(End::Drip));
        let model = model(&server, format);
        let mut answering = model.ask(request(&[user("hi")], &[])).unwrap();
        assert!(matches!(answering.next().await, Ok(Piece::Text)), "{format:?}");
        drop(answering);
        let hung_up = |calls: &[launcher_testbed::models::ModelCall]| {
            calls.last().is_some_and(|call| call.hung_up)
        };
        tokio::task::block_in_place(|| server.wait_until(hung_up, Duration::from_secs(20)))
            .unwrap();
    }
}
