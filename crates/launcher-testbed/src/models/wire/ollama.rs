//! Ollama's `/api/chat`: one object of JSON a line.

use serde_json::{Value, json};

use super::{Refused, retry_after};
use crate::models::{
    Refusal, Reply,
    reply::{End, Part},
};

pub(super) fn events(reply: &Reply, question: &str) -> Vec<String> {
    let message = |message: Value| {
        let line = json!({"model": "m", "created_at": "2026-11-22T19:00:00Z", "message": message, "done": false});
        format!("{line}\n")
    };
    let mut events: Vec<String> = reply
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => message(json!({"role": "assistant", "content": text})),
            Part::Thought(text) => {
                message(json!({"role": "assistant", "content": "", "thinking": text}))
            }
            Part::Call { name, arguments } => {
                let function = json!({"name": name, "arguments": Part::object(arguments)});
                message(json!({"role": "assistant", "content": "", "tool_calls": [{"function": function}]}))
            }
        })
        .collect();
    let reason = match &reply.end {
        End::Well => "stop",
        End::Length => "length",
        End::Filtered | End::Error(Refusal::Filtered) => "content_filter",
        End::Error(refusal) => {
            let (_, _, body) = refused(*refusal, question);
            events.push(format!("{body}\n"));
            return events;
        }
        _ => return events,
    };
    let mut last = json!({"model": "m", "created_at": "2026-11-22T19:00:01Z",
        "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason});
    if let Some((input, output)) = reply.usage {
        last["prompt_eval_count"] = json!(input);
        last["eval_count"] = json!(output);
    }
    events.push(format!("{last}\n"));
    events
}

pub(super) fn refused(refusal: Refusal, question: &str) -> Refused {
    let (status, message) = match refusal {
        Refusal::Auth => (401, "unauthorized".to_owned()),
        Refusal::RateLimit(_) => (429, "too many requests".to_owned()),
        Refusal::Money => (402, "subscription required".to_owned()),
        Refusal::Overloaded => {
            (503, "server busy, please try again.  maximum pending requests exceeded".to_owned())
        }
        Refusal::TooLong(tokens, limit) => {
            (400, format!("prompt is too long: {tokens} tokens > {limit} maximum"))
        }
        Refusal::Filtered => (403, format!("refused: {question}")),
        Refusal::NoModel => (404, format!("model 'm' not found, asked: {question}")),
    };
    (status, retry_after(refusal), json!({ "error": message }))
}
