//! Files in messages (spec, `m.image`, `m.file`, `m.audio`, `m.video`).

use launcher_core::{
    conversation::{Media, MediaKind},
    secret::Secret,
};
use serde_json::{Map, Value, json};

use crate::content::VOICE;

/// The longest name and the longest media type that are kept, in bytes.
const LONGEST_NAME: usize = 255;

/// What of an `EncryptedFile` is kept.
const FILE: [&str; 5] = ["url", "v", "key", "iv", "hashes"];

/// The file in a message. Whether it can be fetched shows when it is.
pub(super) fn media(msgtype: &str, content: &Value) -> Option<Media> {
    let is_voice = VOICE.iter().any(|mark| content[mark].is_object());
    let kind = match msgtype {
        "m.image" => MediaKind::Image,
        "m.video" => MediaKind::Video,
        "m.audio" if is_voice => MediaKind::Voice,
        "m.audio" => MediaKind::Audio,
        "m.file" => MediaKind::File,
        _ => return None,
    };
    let name = content["filename"].as_str().or_else(|| content["body"].as_str());
    let info = &content["info"];
    Some(Media {
        kind,
        name: cut(name.unwrap_or_default()).to_owned(),
        content_type: cut(info["mimetype"].as_str().unwrap_or_default()).to_owned(),
        size: info["size"].as_u64(),
        source: Secret::new(source(content).to_string()),
    })
}

/// What is said about a file. Without a name of its own the text is the name.
pub(super) fn caption(content: &Value) -> &str {
    let body = content["body"].as_str().unwrap_or_default();
    match content["filename"].as_str() {
        Some(name) if name != body => body,
        _ => "",
    }
}

/// Where the file is, and its key; what else a sender puts there is left out.
fn source(content: &Value) -> Value {
    match content["file"].as_object() {
        Some(file) => {
            let kept = file.iter().filter(|(key, _)| FILE.contains(&key.as_str()));
            let kept: Map<String, Value> =
                kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            json!({ "file": kept })
        }
        None => json!({ "url": content["url"] }),
    }
}

/// Forgets where a file is that is there in the clear.
pub(super) fn refuse_clear(media: &mut Media) {
    let source: Value = serde_json::from_str(media.source.expose()).unwrap_or_default();
    if !source["file"].is_object() {
        media.source = Secret::new(json!({}).to_string());
    }
}

/// As much of a text as is kept.
fn cut(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
    &text[..ends.take_while(|end| *end <= LONGEST_NAME).last().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(msgtype: &str) -> Value {
        json!({
            "msgtype": msgtype, "body": "look", "filename": "a.png", "url": "mxc://hs/a",
            "info": { "mimetype": "image/png", "size": 7, "thumbnail_url": "mxc://hs/t" },
        })
    }

    #[test]
    fn a_file_has_its_kind_its_name_and_what_is_said_about_it() {
        for (msgtype, kind) in [
            ("m.image", MediaKind::Image),
            ("m.video", MediaKind::Video),
            ("m.audio", MediaKind::Audio),
            ("m.file", MediaKind::File),
        ] {
            let found = media(msgtype, &content(msgtype)).unwrap();
            assert_eq!((found.kind, found.name.as_str()), (kind, "a.png"));
            assert_eq!((found.content_type.as_str(), found.size), ("image/png", Some(7)));
            assert_eq!(found.source.expose(), r#"{"url":"mxc://hs/a"}"#);
        }
        assert_eq!(caption(&content("m.image")), "look");
        assert!(media("m.sticker", &content("m.sticker")).is_none());
        let mut voice = content("m.audio");
        voice["org.matrix.msc3245.voice"] = json!({});
        assert_eq!(media("m.audio", &voice).unwrap().kind, MediaKind::Voice);
    }

    #[test]
    fn a_file_without_a_name_is_called_what_is_said() {
        let old = json!({ "msgtype": "m.file", "body": "a.pdf", "url": "mxc://hs/a" });
        let found = media("m.file", &old).unwrap();
        assert_eq!((found.name.as_str(), caption(&old)), ("a.pdf", ""));
        assert_eq!((found.content_type.as_str(), found.size), ("", None));
        let same = json!({ "body": "a.pdf", "filename": "a.pdf" });
        assert_eq!(caption(&same), "");
    }

    #[test]
    fn of_a_key_only_what_opens_the_file_is_kept() {
        let mut sealed = content("m.file");
        sealed["file"] = json!({ "url": "mxc://hs/b", "v": "v2", "junk": "x".repeat(9_000) });
        let source = media("m.file", &sealed).unwrap().source;
        assert_eq!(
            serde_json::from_str::<Value>(source.expose()).unwrap(),
            json!({ "file": { "url": "mxc://hs/b", "v": "v2" } })
        );
    }

    #[test]
    fn names_are_cut_between_letters() {
        let long = json!({ "filename": "ä".repeat(200), "body": 5, "info": { "size": -1 } });
        let found = media("m.file", &long).unwrap();
        assert_eq!((found.name.len(), found.size), (254, None));
    }
}
