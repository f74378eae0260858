//! Where the content of a file is, as a message says it.

use std::fmt;

use matrix_sdk_base::crypto::MediaEncryptionInfo;
use serde_json::Value;

/// The longest name of a server or of content. Nothing that is real comes near.
const LONGEST_NAME: usize = 255;

/// Where the content of a file is, and how it is decrypted.
pub(crate) struct Source {
    /// The server that it was uploaded to.
    pub(crate) server: String,
    /// What that server calls it.
    pub(crate) id: String,
    /// How it is decrypted; `None` if it is there in the clear.
    pub(crate) encryption: Option<MediaEncryptionInfo>,
}

impl Source {
    /// Reads the part of a message's content that says so: `file`, an
    /// `EncryptedFile`, or else `url` (spec, `m.image`); `None` if neither is
    /// well formed.
    pub(crate) fn read(content: &Value) -> Option<Self> {
        let file = &content["file"];
        let (url, encryption) = match file.is_object() {
            true => (&file["url"], Some(serde_json::from_value(file.clone()).ok()?)),
            false => (&content["url"], None),
        };
        let (server, id) = address(url.as_str()?)?;
        Some(Self { server: server.to_owned(), id: id.to_owned(), encryption })
    }
}

impl fmt::Debug for Source {
    /// Leaves out the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Source")
            .field("server", &self.server)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The parts of an address such as `mxc://server/id` (spec, "`mxc://` URIs"). They
/// go into a path, so nothing may be in them that means something there. (The
/// library's own check ends in a panic at a name of some lengths.)
fn address(url: &str) -> Option<(&str, &str)> {
    let (server, id) = url.strip_prefix("mxc://")?.split_once('/')?;
    let is_of = |text: &str, more: &str| {
        (1..=LONGEST_NAME).contains(&text.len())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    let is_name = is_of(server, ".-:[]") && server.contains(|c: char| c.is_ascii_alphanumeric());
    (is_name && is_of(id, "-_")).then_some((server, id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encrypted() -> Value {
        json!({
            "url": "mxc://hs.test/abc", "v": "v2", "iv": "i0DovxYdJEcAAAAAAAAAAA",
            "key": {
                "kty": "oct", "alg": "A256CTR", "ext": true, "key_ops": ["decrypt", "encrypt"],
                "k": "Voq2nkPme_x8no5-Tjq_laDAdxE6iDbxnlQXxwFPgE4",
            },
            "hashes": { "sha256": "ANdt819a8bZl4jKy3Z+jcqtiNICa2y0AW4BBJ/iQRAU" },
        })
    }

    #[test]
    fn what_is_encrypted_goes_before_what_is_in_the_clear() {
        let both = json!({ "file": encrypted(), "url": "mxc://other.test/clear" });
        let found = Source::read(&both).unwrap();
        assert_eq!((found.server.as_str(), found.id.as_str()), ("hs.test", "abc"));
        assert!(found.encryption.is_some());
        let clear = Source::read(&json!({ "url": "mxc://[::1]:8448/a-_9" })).unwrap();
        assert!(clear.server == "[::1]:8448" && clear.encryption.is_none());
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", Source::read(&json!({ "file": encrypted() })).unwrap());
        assert_eq!(shown, "Source { server: \"hs.test\", id: \"abc\", .. }");
    }

    #[test]
    fn what_is_malformed_is_nowhere() {
        let long = |length: usize| format!("mxc://{}/a", "s".repeat(length));
        for url in [
            "",
            "mxc://",
            "mxc://hs",
            "mxc://hs/",
            "mxc:///a",
            "https://hs/a",
            "mxc://hs/a/b",
            "mxc://hs/a?b",
            "mxc://hs/..",
            "mxc://h s/a",
            "mxc://../a",
            "mxc://hs/%2e",
            "mxc://hs/ä",
            &long(250),
            &long(256),
            &long(506),
            &long(70_000),
        ] {
            let found = Source::read(&json!({ "url": url }));
            // Long, but not too long.
            assert_eq!(found.is_some(), url.len() == long(250).len(), "{url}");
        }
        let without = |key: &str| {
            let mut file = encrypted();
            file.as_object_mut().unwrap().remove(key);
            json!({ "file": file })
        };
        for key in ["url", "key", "iv", "hashes"] {
            assert!(Source::read(&without(key)).is_none(), "{key}");
        }
        for content in [json!(null), json!([]), json!({ "file": {} }), json!({ "url": 5 })] {
            assert!(Source::read(&content).is_none());
        }
    }
}
