//! OpenAI's chat completions, and llama.cpp's, whose errors differ.

use serde_json::{Value, json};

use super::{Refused, event, retry_after};
use crate::models::{
    Format, Refusal, Reply,
    reply::{End, Part},
};

pub(super) fn events(format: Format, reply: &Reply, question: &str) -> Vec<String> {
    let chunk = |choices: Value| json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
    let delta = |delta: Value, end: Value| {
        event(&chunk(json!([{"index": 0, "delta": delta, "finish_reason": end}])))
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
    let mut calls = 0;
    for part in &reply.parts {
        match part {
            Part::Text(text) => events.push(delta(json!({"content": text}), Value::Null)),
            Part::Thought(text) => {
                events.push(delta(json!({"reasoning_content": text}), Value::Null));
            }
            Part::Call { name, arguments } => {
                let id = format!("call_{calls}");
                let call = json!({"index": calls, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""}});
                events.push(delta(json!({"tool_calls": [call]}), Value::Null));
                let rest = json!({"index": calls, "function": {"arguments": arguments}});
                events.push(delta(json!({"tool_calls": [rest]}), Value::Null));
                calls += 1;
            }
        }
    }
    let reason = match &reply.end {
        End::Well if calls > 0 => "tool_calls",
        End::Well => "stop",
        End::Length => "length",
        End::Filtered => "content_filter",
        End::Error(refusal) => {
            let (_, _, body) = match format {
                Format::LlamaCpp => refused_by_llamacpp(*refusal, question),
                _ => refused(*refusal, question),
            };
            events.push(event(&body));
            return events;
        }
        _ => return events,
    };
    events.push(delta(json!({}), json!(reason)));
    if let Some((input, output)) = reply.usage {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
        let mut last = chunk(json!([]));
        last["usage"] = usage;
        events.push(event(&last));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

pub(super) fn refused(refusal: Refusal, question: &str) -> Refused {
    let (status, kind, code, message) = match refusal {
        Refusal::Auth => (
            401,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided".to_owned(),
        ),
        Refusal::RateLimit(_) => {
            (429, "requests", "rate_limit_exceeded", "Rate limit reached for m".to_owned())
        }
        Refusal::Money => (
            429,
            "insufficient_quota",
            "insufficient_quota",
            "You exceeded your current quota".to_owned(),
        ),
        Refusal::Overloaded => {
            (503, "server_error", "server_error", "The server is overloaded".to_owned())
        }
        Refusal::TooLong(tokens, limit) => (
            400,
            "invalid_request_error",
            "context_length_exceeded",
            format!(
                "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens."
            ),
        ),
        Refusal::Filtered => (
            400,
            "invalid_request_error",
            "content_policy_violation",
            format!("This was refused: {question}"),
        ),
        Refusal::NoModel => (
            404,
            "invalid_request_error",
            "model_not_found",
            format!("The model `m` does not exist; you asked: {question}"),
        ),
    };
    let error = json!({"message": message, "type": kind, "param": null, "code": code});
    (status, retry_after(refusal), json!({ "error": error }))
}

pub(super) fn refused_by_llamacpp(refusal: Refusal, question: &str) -> Refused {
    let (status, kind, message) = match refusal {
        Refusal::Auth => (401, "authentication_error", "Invalid API Key".to_owned()),
        Refusal::RateLimit(_) => (429, "rate_limit_error", "Too many requests".to_owned()),
        Refusal::Money => (402, "billing_error", "Pay first".to_owned()),
        Refusal::Overloaded => (503, "unavailable_error", "Loading model".to_owned()),
        Refusal::TooLong(tokens, limit) => {
            let message = format!(
                "request ({tokens} tokens) exceeds the available context size ({limit} tokens), try increasing it"
            );
            let error = json!({"code": 400, "message": message, "type": "exceed_context_size_error",
                "n_prompt_tokens": tokens, "n_ctx": limit});
            return (400, Vec::new(), json!({ "error": error }));
        }
        Refusal::Filtered => (400, "content_filter", format!("Refused: {question}")),
        Refusal::NoModel => (404, "not_found_error", format!("File Not Found: {question}")),
    };
    let error = json!({"code": status, "message": message, "type": kind});
    (status, retry_after(refusal), json!({ "error": error }))
}
