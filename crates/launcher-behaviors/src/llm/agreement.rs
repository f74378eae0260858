//! What somebody is shown who is to agree to a call.

use launcher_core::llm::plain;
use serde_json::{Map, Value};

/// The arguments of a call: an object of JSON with one line for each of them,
/// however long. Read as JSON, it is what is run. Whatever could be overlooked,
/// or looks like something else, is written as its number: characters that are
/// not seen or turn the direction of others, and spaces but single ones.
pub(super) fn arguments(arguments: &Map<String, Value>) -> String {
    if arguments.is_empty() {
        return "{}".to_owned();
    }
    let lines = arguments.iter().map(|(name, value)| {
        let name = Value::from(name.as_str()).to_string();
        format!("  {}: {}", visible(&name), visible(&value.to_string()))
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}

/// Compact JSON, whose odd characters are all within strings.
fn visible(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut before = None;
    for letter in json.chars() {
        let is_space = letter.is_whitespace() && (letter != ' ' || before == Some(' '));
        if is_space || plain::is_hidden(letter) {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(letter);
        }
        before = Some(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: &Value) -> String {
        let Value::Object(map) = value else { panic!("{value}") };
        let shown = arguments(map);
        // Nothing else is agreed to than what is run.
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), *value);
        shown
    }

    #[test]
    fn each_argument_is_one_line() {
        assert_eq!(shown(&json!({})), "{}");
        let value = json!({"a": 1, "b": "two words", "c": {"d": [true, null, "ä🦀"]}});
        assert_eq!(
            shown(&value),
            "{\n  \"a\": 1,\n  \"b\": \"two words\",\n  \"c\": {\"d\":[true,null,\"ä🦀\"]}\n}"
        );
        let text = "rm a\n```\n\r\u{2028}b\u{85}c\u{b}d";
        let value = json!({ "a\nb": text });
        assert_eq!(shown(&value).lines().count(), 3, "{}", shown(&value));
        assert!(shown(&value).lines().all(|line| !line.trim_start().starts_with('`')));
    }

    #[test]
    fn what_is_not_seen_or_looks_like_something_else_is_written_out() {
        for odd in [
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{200f}",
            "\u{ad}",
            "\u{feff}",
            "\u{7f}",
            "\u{9b}",
            "\u{3164}",
            "\u{e0041}",
            "\u{fe0f}",
            "\u{2029}",
            "\u{a0}",
            "\u{3000}",
            "\u{2003}",
            "\u{1b}",
            "\t",
        ] {
            let shown = shown(&json!({ odd: format!("a{odd}b"), "list": [odd, {odd: odd}] }));
            assert!(!shown.contains(odd), "{odd:?}");
            assert!(shown.contains("a\\"), "{shown}");
        }
        let far = shown(&json!({"a": format!("ls{}; rm", " ".repeat(200))}));
        assert!(far.contains("ls \\u0020\\u0020") && !far.contains("  ;"), "{far}");
        assert_eq!(shown(&json!({"a": "\u{e0041}"})), "{\n  \"a\": \"\\udb40\\udc41\"\n}");
    }
}
