//! The body of a message, as the log keeps it.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

/// How much of an answer is kept.
pub(crate) const KEPT: usize = 1024 * 1024;

/// The bytes of a request or an answer. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Arc<[u8]>,
    length: usize,
}

impl Body {
    /// A whole body.
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), length: bytes.len() }
    }

    /// What was kept: everything, unless [`Self::is_truncated`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How long it was on the wire.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether only the beginning was kept: the log keeps 1 MiB of an answer.
    pub fn is_truncated(&self) -> bool {
        self.bytes.len() < self.length
    }

    /// The bytes as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// The JSON in it, parsed anew with each call; none in a truncated body.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.bytes).ok()
    }

    /// What the log keeps of it.
    pub(crate) fn kept(&self) -> Self {
        if self.bytes.len() <= KEPT {
            return self.clone();
        }
        Self { bytes: self.bytes[..KEPT].into(), length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_beginning_of_a_long_body_and_says_so() {
        let whole = Body::new(&vec![b'x'; KEPT + 1]);
        let kept = whole.kept();
        assert_eq!((kept.bytes().len(), kept.length()), (KEPT, KEPT + 1));
        assert!(kept.is_truncated() && !whole.is_truncated());
        assert_eq!(Body::new(b"{}").kept(), Body::new(b"{}"));
    }
}
