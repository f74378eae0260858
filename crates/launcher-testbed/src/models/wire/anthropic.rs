//! Anthropic's messages.

use serde_json::{Value, json};

use super::{Refused, retry_after};
use crate::models::{
    Refusal, Reply,
    reply::{End, Part},
};

pub(super) fn events(reply: &Reply, question: &str) -> Vec<String> {
    let (input, output) = reply.usage.unwrap_or_default();
    let counted = |usage: Value| if reply.usage.is_some() { usage } else { json!({}) };
    let mut events = vec![
        event(json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": counted(json!({"input_tokens": input, "output_tokens": 1}))}})),
        event(json!({"type": "ping"})),
    ];
    let mut open: Option<u64> = None;
    let mut next = 0;
    let mut calls = false;
    let stop = |index: u64| event(json!({"type": "content_block_stop", "index": index}));
    for part in &reply.parts {
        match part {
            Part::Text(text) => {
                let index = open.unwrap_or_else(|| {
                    events.push(event(json!({"type": "content_block_start", "index": next,
                        "content_block": {"type": "text", "text": ""}})));
                    next += 1;
                    next - 1
                });
                open = Some(index);
                events.push(event(json!({"type": "content_block_delta", "index": index,
                    "delta": {"type": "text_delta", "text": text}})));
            }
            Part::Thought(text) => {
                events.extend(open.take().map(stop));
                events.push(event(json!({"type": "content_block_start", "index": next,
                    "content_block": {"type": "thinking", "thinking": "", "signature": ""}})));
                for delta in [
                    json!({"type": "thinking_delta", "thinking": text}),
                    json!({"type": "signature_delta", "signature": "c2lnbmVk"}),
                ] {
                    events.push(event(
                        json!({"type": "content_block_delta", "index": next, "delta": delta}),
                    ));
                }
                events.push(stop(next));
                next += 1;
            }
            Part::Call { name, arguments } => {
                events.extend(open.take().map(stop));
                calls = true;
                let id = format!("toolu_{next}");
                events.push(event(json!({"type": "content_block_start", "index": next,
                    "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}})));
                events.push(event(json!({"type": "content_block_delta", "index": next,
                    "delta": {"type": "input_json_delta", "partial_json": arguments}})));
                events.push(stop(next));
                next += 1;
            }
        }
    }
    let reason = match &reply.end {
        End::Well if calls => "tool_use",
        End::Well => "end_turn",
        End::Length => "max_tokens",
        End::Filtered => "refusal",
        End::Error(refusal) => {
            let (_, _, body) = refused(*refusal, question);
            events.push(event(body));
            return events;
        }
        _ => return events,
    };
    events.extend(open.take().map(stop));
    events.push(event(json!({"type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": counted(json!({"output_tokens": output}))})));
    events.push(event(json!({"type": "message_stop"})));
    events
}

fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

pub(super) fn refused(refusal: Refusal, question: &str) -> Refused {
    let (status, kind, message) = match refusal {
        Refusal::Auth => (401, "authentication_error", "invalid x-api-key".to_owned()),
        Refusal::RateLimit(_) => (429, "rate_limit_error", "This is too often".to_owned()),
        Refusal::Money => (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API.".to_owned(),
        ),
        Refusal::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
        Refusal::TooLong(tokens, limit) => (
            400,
            "invalid_request_error",
            format!("prompt is too long: {tokens} tokens > {limit} maximum"),
        ),
        Refusal::Filtered => {
            (400, "invalid_request_error", format!("Output blocked by content filter: {question}"))
        }
        Refusal::NoModel => (404, "not_found_error", format!("model: m, asked: {question}")),
    };
    let error = json!({"type": "error", "error": {"type": kind, "message": message}});
    (status, retry_after(refusal), error)
}
