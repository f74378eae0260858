//! What a tool gives back, as text for a model.

use rmcp::model::{CallToolResult, ContentBlock, ErrorData, ResourceContents};

use crate::{llm::tools::Outcome, process::errors::plain};

/// How much of a result a model is told, in bytes. A little less than what may
/// be told of any call.
const MOST: usize = 40 * 1024;

/// How long a name may be that only describes something.
const LONGEST_NAME: usize = 200;

/// What came of a call.
pub(super) fn outcome(result: &CallToolResult) -> Outcome {
    let mut text = String::new();
    for block in &result.content {
        if text.len() > MOST {
            break;
        }
        let part = match block {
            ContentBlock::Text(content) => cut(&content.text),
            ContentBlock::Image(image) => binary("a picture", &image.mime_type, &image.data),
            ContentBlock::Audio(audio) => binary("a sound", &audio.mime_type, &audio.data),
            ContentBlock::Resource(embedded) => match &embedded.resource {
                ResourceContents::TextResourceContents { text, .. } => cut(text),
                ResourceContents::BlobResourceContents { mime_type, blob, .. } => {
                    binary("a file", mime_type.as_deref().unwrap_or_default(), blob)
                }
                _ => UNKNOWN.to_owned(),
            },
            ContentBlock::ResourceLink(link) => {
                format!("[a link to {}]", plain(&link.uri, LONGEST_NAME))
            }
            _ => UNKNOWN.to_owned(),
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&part);
    }
    if text.trim().is_empty()
        && let Some(structured) = &result.structured_content
    {
        text = cut(&structured.to_string());
    }
    if text.trim().is_empty() {
        text = "[nothing]".to_owned();
    }
    Outcome { text: cut(&text), failed: result.is_error == Some(true) }
}

/// What came of a call that the server did not make.
pub(super) fn refused(error: &ErrorData) -> Outcome {
    let text = format!("The call was refused: {}", plain(&error.message, 2000));
    Outcome { text, failed: true }
}

const UNKNOWN: &str = "[something that cannot be shown]";

/// What is there instead of something that is no text.
fn binary(what: &str, media_type: &str, base64: &str) -> String {
    let media_type = plain(media_type, LONGEST_NAME);
    let size = base64.len() / 4 * 3;
    format!("[{what}, {media_type}, about {size} bytes: it cannot be shown to you]")
}

fn cut(text: &str) -> String {
    if text.len() <= MOST {
        return text.to_owned();
    }
    let end = (0..=MOST).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    format!("{}\n[cut: there was more]", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(result: &serde_json::Value) -> Outcome {
        outcome(&serde_json::from_value(result.clone()).unwrap())
    }

    #[test]
    fn text_is_passed_on_and_the_rest_described() {
        let result = json!({"content": [
            {"type": "text", "text": "one"},
            {"type": "image", "mimeType": "image/png", "data": "AAAAAAAA"},
            {"type": "resource", "resource": {"uri": "a:b", "text": "two"}},
            {"type": "resource", "resource": {"uri": "a:b", "mimeType": "x/y", "blob": "AAAA"}},
            {"type": "resource_link", "uri": "file:///c\nd", "name": "n"},
        ]});
        assert_eq!(
            told(&result).text,
            "one\n[a picture, image/png, about 6 bytes: it cannot be shown to you]\ntwo\n[a file, \
             x/y, about 3 bytes: it cannot be shown to you]\n[a link to file:///c\u{fffd}d]"
        );
        assert!(!told(&result).failed);
    }

    #[test]
    fn a_result_without_text_is_its_structure_or_nothing() {
        assert_eq!(told(&json!({"content": [], "structuredContent": {"a": 1}})).text, "{\"a\":1}");
        let nothing = told(&json!({"content": [], "isError": true}));
        assert!(nothing.failed && nothing.text == "[nothing]");
    }

    #[test]
    fn a_huge_result_is_cut() {
        let text = "ä".repeat(1 << 20);
        let huge =
            json!({"content": [{"type": "text", "text": text}, {"type": "text", "text": text}]});
        let told = told(&huge).text;
        assert!(told.len() < MOST + 100 && told.ends_with("[cut: there was more]"));
    }
}
