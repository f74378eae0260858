//! Answers and errors in the words of each provider.

mod anthropic;
mod gemini;
mod ollama;
mod openai;

use serde_json::Value;

use super::{Format, Refusal, Reply};

/// Status, headers and body of an error.
pub(super) type Refused = (u16, Vec<(String, String)>, Value);

/// What a stream calls itself.
pub(super) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Ollama => "application/x-ndjson",
        Format::OpenAi | Format::Anthropic | Format::Gemini | Format::LlamaCpp => {
            "text/event-stream; charset=utf-8"
        }
    }
}

/// The events of an answer, each with the line ends that close it.
pub(super) fn events(format: Format, reply: &Reply, question: &str) -> Vec<String> {
    match format {
        Format::OpenAi | Format::LlamaCpp => openai::events(format, reply, question),
        Format::Anthropic => anthropic::events(reply, question),
        Format::Gemini => gemini::events(reply, question),
        Format::Ollama => ollama::events(reply, question),
    }
}

/// An error instead of an answer.
pub(super) fn refused(format: Format, refusal: Refusal, question: &str) -> Refused {
    let (status, mut headers, body) = match format {
        Format::OpenAi => openai::refused(refusal, question),
        Format::LlamaCpp => openai::refused_by_llamacpp(refusal, question),
        Format::Anthropic => anthropic::refused(refusal, question),
        Format::Gemini => gemini::refused(refusal, question),
        Format::Ollama => ollama::refused(refusal, question),
    };
    headers.push(("x-request-id".to_owned(), "req_4711".to_owned()));
    (status, headers, body)
}

/// The header by which most say when they may be asked again.
fn retry_after(refusal: Refusal) -> Vec<(String, String)> {
    match refusal {
        Refusal::RateLimit(Some(seconds)) => {
            vec![("retry-after".to_owned(), seconds.to_string())]
        }
        _ => Vec::new(),
    }
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
