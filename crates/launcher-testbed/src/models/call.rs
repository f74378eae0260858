//! One question to a model, whichever format it came in.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Format;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCall {
    /// The format it came in.
    pub format: Format,
    /// The path, with its query.
    pub path: String,
    /// The headers, with names in small letters.
    pub headers: Vec<(String, String)>,
    /// What it said.
    pub body: Value,
    /// Which model is asked.
    pub model: String,
    /// What the model is told about itself.
    pub system: String,
    /// Who spoke and what: `user`, `assistant` or `tool`, in order.
    pub turns: Vec<(String, String)>,
    /// What the last person said.
    pub asked: String,
    /// The SHA-256 of each picture in the last person's turn, in hex.
    pub images: Vec<String>,
    /// The names of the tools there are.
    pub tools: Vec<String>,
    /// What came of calls, if nothing was said since.
    pub results: Vec<ToolAnswer>,
    /// How long an answer may become.
    pub max_tokens: Option<u64>,
    /// Whether the whole answer was sent.
    pub answered: bool,
    /// Whether the other side has closed the connection before that.
    pub hung_up: bool,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolAnswer {
    /// Which call, where the format says so.
    pub id: Option<String>,
    /// What came of it.
    pub text: String,
}

/// A turn as it is read out of a format.
#[derive(Default)]
struct Turn {
    role: &'static str,
    text: String,
    images: Vec<String>,
    results: Vec<ToolAnswer>,
}

impl ModelCall {
    /// Reads a question.
    pub(super) fn read(
        format: Format,
        path: String,
        headers: Vec<(String, String)>,
        body: Value,
    ) -> Self {
        let (system, turns) = match format {
            Format::OpenAi | Format::LlamaCpp | Format::Ollama => messages(&body),
            Format::Anthropic => anthropic(&body),
            Format::Gemini => gemini(&body),
        };
        let asking = turns.iter().rev().find(|turn| turn.role == "user");
        let last = turns.iter().rev().take_while(|turn| turn.role == "tool").count();
        let last = turns.iter().skip(turns.len() - last);
        let results = last.flat_map(|turn| turn.results.clone()).collect();
        let model = body["model"].as_str().map(str::to_owned);
        let from_path = || Some(path.split("/models/").nth(1)?.split(':').next()?.to_owned());
        Self {
            format,
            model: model.or_else(from_path).unwrap_or_default(),
            system,
            asked: asking.map(|turn| turn.text.clone()).unwrap_or_default(),
            images: asking.map(|turn| turn.images.clone()).unwrap_or_default(),
            tools: tools(&body),
            results,
            max_tokens: [
                &body["max_tokens"],
                &body["max_completion_tokens"],
                &body["options"]["num_predict"],
                &body["generationConfig"]["maxOutputTokens"],
            ]
            .iter()
            .find_map(|value| value.as_u64()),
            turns: turns.into_iter().map(|turn| (turn.role.to_owned(), turn.text)).collect(),
            path,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            body,
            answered: false,
            hung_up: false,
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// The messages of OpenAI's format and of Ollama's, which differ in pictures.
fn messages(body: &Value) -> (String, Vec<Turn>) {
    let (mut system, mut turns) = (String::new(), Vec::new());
    for message in list(&body["messages"]) {
        let text = text(&message["content"]);
        match message["role"].as_str() {
            Some("system" | "developer") => system.push_str(&text),
            Some("tool") => {
                let id = message["tool_call_id"].as_str().map(str::to_owned);
                let results = vec![ToolAnswer { id, text: text.clone() }];
                turns.push(Turn { role: "tool", text, results, ..Turn::default() });
            }
            Some("assistant") => turns.push(Turn { role: "assistant", text, ..Turn::default() }),
            _ => {
                let urls = list(&message["content"])
                    .filter_map(|part| part["image_url"]["url"].as_str()?.split_once(";base64,"));
                let images = list(&message["images"]).filter_map(Value::as_str);
                let images = images.chain(urls.map(|(_, data)| data)).map(hash).collect();
                turns.push(Turn { role: "user", text, images, ..Turn::default() });
            }
        }
    }
    (system, turns)
}

fn anthropic(body: &Value) -> (String, Vec<Turn>) {
    let mut turns = Vec::new();
    for message in list(&body["messages"]) {
        let results: Vec<ToolAnswer> = list(&message["content"])
            .filter(|part| part["type"] == "tool_result")
            .map(|part| ToolAnswer {
                id: part["tool_use_id"].as_str().map(str::to_owned),
                text: text(&part["content"]),
            })
            .collect();
        let role = match message["role"].as_str() {
            Some("assistant") => "assistant",
            _ if results.is_empty() => "user",
            _ => "tool",
        };
        let images = list(&message["content"])
            .filter_map(|part| part["source"]["data"].as_str())
            .map(hash)
            .collect();
        turns.push(Turn { role, text: text(&message["content"]), images, results });
    }
    (text(&body["system"]), turns)
}

fn gemini(body: &Value) -> (String, Vec<Turn>) {
    let mut turns = Vec::new();
    for content in list(&body["contents"]) {
        let parts = || list(&content["parts"]);
        let results: Vec<ToolAnswer> = parts()
            .filter(|part| part["functionResponse"].is_object())
            .map(|part| ToolAnswer {
                id: part["functionResponse"]["id"].as_str().map(str::to_owned),
                text: strings(&part["functionResponse"]["response"]),
            })
            .collect();
        let role = match content["role"].as_str() {
            Some("model") => "assistant",
            _ if results.is_empty() => "user",
            _ => "tool",
        };
        let images =
            parts().filter_map(|part| part["inlineData"]["data"].as_str()).map(hash).collect();
        let text = parts().filter_map(|part| part["text"].as_str()).collect();
        turns.push(Turn { role, text, images, results });
    }
    let system = list(&body["systemInstruction"]["parts"])
        .filter_map(|part| part["text"].as_str())
        .collect();
    (system, turns)
}

fn tools(body: &Value) -> Vec<String> {
    let functions = list(&body["tools"]).flat_map(|tool| {
        let declared = list(&tool["functionDeclarations"]).map(|one| &one["name"]);
        declared.chain([&tool["function"]["name"], &tool["name"]]).collect::<Vec<_>>()
    });
    functions.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A text, or the texts of a list of parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        _ => list(content).filter_map(|part| part["text"].as_str()).collect(),
    }
}

/// All strings in a value, whatever is around them.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(strings).collect(),
        Value::Object(values) => values.values().map(strings).collect(),
        _ => String::new(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn hash(data: &str) -> String {
    let bytes = STANDARD.decode(data).unwrap_or_default();
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        write!(hex, "{byte:02x}").ok();
        hex
    })
}
