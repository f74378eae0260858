//! What comes back for a message that was posted.

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;

use super::{Fault, unreached};

/// The most bytes of an answer.
const LARGEST: usize = 256 * 1024;

/// An answer in JSON.
#[derive(Deserialize)]
struct Said {
    /// What is said, in Markdown.
    #[serde(default)]
    text: Option<String>,
}

/// The text to say; `None` if there is none.
pub(super) async fn text(mut response: Response) -> Result<Option<String>, Fault> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreached)? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(Fault::Final {
                detail: format!("its answer is larger than {LARGEST} bytes"),
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    understood(&kind, bytes)
}

fn understood(kind: &str, bytes: Vec<u8>) -> Result<Option<String>, Fault> {
    let wrong = |detail: &str| Err(Fault::Final { detail: detail.to_owned() });
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let text = if kind == "application/json" || kind.ends_with("+json") {
        match serde_json::from_slice::<Said>(&bytes) {
            Ok(said) => said.text.unwrap_or_default(),
            Err(_) => return wrong("its answer is not `{\"text\": \"…\"}`"),
        }
    } else if kind.is_empty() || kind == "text/plain" || kind == "text/markdown" {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => return wrong("its answer is not UTF-8"),
        }
    } else {
        return wrong("its answer is neither JSON nor text");
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_or_text_or_nothing() {
        for (kind, body, text) in [
            ("application/json", r#"{"text": "hi", "more": 1}"#, Some("hi")),
            ("application/problem+json", r#"{"text": null}"#, None),
            ("application/json", "{}", None),
            ("application/json", "", None),
            ("text/plain", "hi\n", Some("hi\n")),
            ("", "hi", Some("hi")),
            ("text/markdown", " \n", None),
        ] {
            let found = understood(kind, body.as_bytes().to_vec()).unwrap();
            assert_eq!(found.as_deref(), text, "{kind} {body}");
        }
        for (kind, body) in [
            ("application/json", b"hi".as_slice()),
            ("application/json", b"[1]"),
            ("application/json", br#"{"text": 5}"#),
            ("text/plain", b"\xff"),
            ("text/html", b"<b>"),
            ("image/png", b"x"),
        ] {
            assert!(matches!(understood(kind, body.to_vec()), Err(Fault::Final { .. })), "{kind}");
        }
    }
}
