//! What is said to a model, and by it: something of ours, in no provider's words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How much one reply may want to have called, and how many bytes of arguments
/// that may have. A reply with more is no answer.
pub(super) const MOST_CALLS: usize = 64;
pub(super) const MOST_ARGUMENTS: usize = 256 * 1024;

/// Something that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    /// Letters, digits, `_` and `-`, at most 64: what every provider takes.
    pub(crate) name: String,
    /// What it does, for the model.
    pub(crate) description: String,
    /// The JSON schema of its arguments, an object.
    pub(crate) schema: Value,
}

/// Something that was said.
#[derive(Clone, PartialEq)]
pub(crate) enum Turn {
    /// By a person.
    User {
        /// The text; may be empty if there is a picture.
        text: String,
        /// What can be seen.
        images: Vec<Picture>,
    },
    /// By the model.
    Assistant(Said),
    /// What came of the model's calls, all of them.
    Results(Vec<CallResult>),
}

/// A picture for a model.
#[derive(Clone, PartialEq)]
pub(crate) struct Picture {
    /// One of [`Picture::TYPES`].
    pub(crate) media_type: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

impl Picture {
    /// What providers read; not each of them all, see [`Model::sees`](super::Model::sees).
    pub(crate) const TYPES: [&'static str; 4] =
        ["image/png", "image/jpeg", "image/gif", "image/webp"];
}

/// What a model said. Can be written down and given back later, to the same
/// model or another one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The text; may be empty if something is called.
    pub(crate) text: String,
    /// What it wants to have called.
    #[serde(default)]
    pub(crate) calls: Vec<Call>,
    /// The same in the provider's words, with the signatures that some want to
    /// have back. Only this version of this program reads it, and does
    /// without it if it cannot.
    #[serde(default)]
    pub(super) native: Option<String>,
}

impl Said {
    /// A text that a model said at some time.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: Vec::new(), native: None }
    }

    /// How much it is in the provider's words, in bytes; 0 without them.
    pub(crate) fn native_bytes(&self) -> usize {
        self.native.as_ref().map_or(0, String::len)
    }

    /// Whether more is called than any question needs. It would be kept, and
    /// given back with everything that is asked later.
    pub(super) fn is_too_much(&self) -> bool {
        let sizes = self
            .calls
            .iter()
            .map(|call| call.name.len() + Value::Object(call.arguments.clone()).to_string().len());
        self.calls.len() > MOST_CALLS || sizes.sum::<usize>() > MOST_ARGUMENTS
    }
}

/// Something that a model wants to have called.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Which call it is, within one answer.
    pub(crate) id: String,
    /// The tool's name, as the model wrote it.
    pub(crate) name: String,
    /// Its arguments.
    pub(crate) arguments: Map<String, Value>,
    /// The arguments were cut off or are no JSON, and what is in `arguments` is
    /// a guess. It must not be run.
    #[serde(default)]
    pub(crate) garbled: bool,
}

/// What came of a call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CallResult {
    /// The call's.
    pub(crate) id: String,
    /// The call's.
    pub(crate) name: String,
    /// What the model is told.
    pub(crate) text: String,
    /// It failed, was refused, or was not run.
    pub(crate) failed: bool,
}

macro_rules! hide {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            /// Leaves out what was said, so that it cannot reach a log.
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
hide!(Turn, Picture, Said, Call, CallResult);
pub(super) use hide;
