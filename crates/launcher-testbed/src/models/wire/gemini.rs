//! Gemini's `streamGenerateContent`.

use serde_json::{Value, json};

use super::{Refused, event};
use crate::models::{
    Refusal, Reply,
    reply::{End, Part},
};

pub(super) fn events(reply: &Reply, question: &str) -> Vec<String> {
    let usage = |output: u64| match reply.usage {
        Some((input, _)) => json!({"promptTokenCount": input, "candidatesTokenCount": output,
            "totalTokenCount": input + output}),
        None => Value::Null,
    };
    let frame = |parts: Value, end: Option<&str>| {
        let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
        if let Some(end) = end {
            candidate["finishReason"] = json!(end);
        }
        let output = reply.usage.filter(|_| end.is_some()).map_or(0, |(_, output)| output);
        let mut frame = json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r1"});
        if reply.usage.is_some() {
            frame["usageMetadata"] = usage(output);
        }
        event(&frame)
    };
    let mut events: Vec<String> = reply
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => frame(json!([{"text": text}]), None),
            Part::Thought(text) => frame(json!([{"text": text, "thought": true}]), None),
            Part::Call { name, arguments } => {
                let call = json!({"name": name, "args": Part::object(arguments)});
                // What a thinking model signs, and wants to have back.
                frame(json!([{"functionCall": call, "thoughtSignature": "c2lnbmVk"}]), None)
            }
        })
        .collect();
    match &reply.end {
        End::Well => events.push(frame(json!([{"text": ""}]), Some("STOP"))),
        End::Length => events.push(frame(json!([{"text": ""}]), Some("MAX_TOKENS"))),
        End::Filtered if reply.parts.is_empty() => {
            events.push(event(
                &json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage(0)}),
            ));
        }
        End::Filtered => events.push(frame(json!([{"text": ""}]), Some("SAFETY"))),
        End::Error(refusal) => {
            let (_, _, body) = refused(*refusal, question);
            events.push(event(&body));
        }
        _ => {}
    }
    events
}

pub(super) fn refused(refusal: Refusal, question: &str) -> Refused {
    let (code, status, message, details) = match refusal {
        Refusal::Auth => (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.".to_owned(),
            json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                "domain": "googleapis.com"}]),
        ),
        Refusal::RateLimit(wait) => {
            let wait = wait.map(|seconds| {
                json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")})
            });
            (
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your quota".to_owned(),
                Value::Array(wait.into_iter().collect()),
            )
        }
        Refusal::Money => (
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota".to_owned(),
            json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]),
        ),
        Refusal::Overloaded => {
            (503, "UNAVAILABLE", "The model is overloaded.".to_owned(), json!([]))
        }
        Refusal::TooLong(tokens, limit) => (
            400,
            "INVALID_ARGUMENT",
            format!(
                "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit})."
            ),
            json!([]),
        ),
        Refusal::Filtered => (400, "CONTENT_FILTER", format!("Blocked: {question}"), json!([])),
        Refusal::NoModel => {
            (404, "NOT_FOUND", format!("models/m is not found: {question}"), json!([]))
        }
    };
    let error = json!({"code": code, "message": message, "status": status, "details": details});
    (code, Vec::new(), json!({ "error": error }))
}
