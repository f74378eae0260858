//! The process protocol, version 1: what the launcher and a robot say to each
//! other, a JSON object a line.
//!
//! `docs/reference/process-protocol.md` describes it, and its schema is made
//! from these types. What is added later are fields and types of messages: who
//! reads a line ignores fields that it does not know.

use std::fmt;

use launcher_core::{
    conversation::{MediaKind, Message, MessageKind},
    trust::Assurance,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version that is spoken here.
pub const VERSION: u32 = 1;

/// The most bytes of a line that a robot writes, its end not counted.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// What a robot reads.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRobot {
    /// The first line. Answered by `ready`.
    Hello {
        /// The version of the protocol.
        version: u32,
        /// The agent's id, the name of its folder.
        agent: String,
        /// The agent's Matrix user id.
        user_id: String,
    },
    /// Something happened in a room. It comes again, after any restart, until
    /// the robot says `done`, `pass` or `failed` about it.
    Event(Box<Event>),
    /// The file of an event, in answer to `fetch`.
    Fetched {
        /// The event.
        id: String,
        /// The content in base64; absent if there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// Why there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A `post` has been taken over: it will be sent, whatever happens to the
    /// robot.
    Posted {
        /// Its key.
        key: String,
        /// Whether the key is new. With a key that was used before nothing is sent.
        new: bool,
    },
    /// A line was not understood, or cannot be done. After some lines in a row
    /// that are not understood the robot is started anew.
    Error {
        /// The event that it is about, if it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// Answered by `pong`, within half a minute.
    Ping {
        /// To be repeated in the answer.
        n: u64,
    },
}

/// What a robot writes.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRobot {
    /// The answer to `hello`, within ten seconds. Events come after it.
    Ready {
        /// The version of the protocol that the robot speaks: 1.
        version: u32,
    },
    /// Says something in answer to an event.
    Say {
        /// The event.
        id: String,
        /// The text, in Markdown.
        text: String,
    },
    /// Lets an earlier message of the agent say something else.
    Edit {
        /// The event that is being worked on.
        id: String,
        /// The message.
        target: String,
        /// The text, in Markdown.
        text: String,
    },
    /// Reacts to a message.
    React {
        /// The event that is being worked on.
        id: String,
        /// To which message; to the event itself if it is absent.
        #[serde(default)]
        target: Option<String>,
        /// With what: an emoji, or a few words.
        key: String,
    },
    /// Takes back an earlier message of the agent.
    Redact {
        /// The event that is being worked on.
        id: String,
        /// The message.
        target: String,
    },
    /// Sends a file in answer to an event.
    File {
        /// The event.
        id: String,
        /// Where it is: a path below the robot's working folder.
        path: String,
        /// Under which name it is sent; its own if this is absent.
        #[serde(default)]
        name: Option<String>,
        /// Its media type; by its name if this is absent.
        #[serde(default)]
        content_type: Option<String>,
        /// What is said about it, in Markdown.
        #[serde(default)]
        caption: Option<String>,
    },
    /// Shows what there is of the answer so far. The next draft takes its place,
    /// and the first `say` takes the last one's.
    Draft {
        /// The event.
        id: String,
        /// The text, in Markdown.
        text: String,
    },
    /// Wants the file of an event. Answered by `fetched`.
    Fetch {
        /// The event.
        id: String,
    },
    /// The event is done with: everything that was wanted about it is carried
    /// out now, in its order, and it does not come again.
    Done {
        /// The event.
        id: String,
    },
    /// The event is for another behavior of the agent. What was wanted about it
    /// is forgotten.
    Pass {
        /// The event.
        id: String,
    },
    /// The event cannot be worked on now. What was wanted about it is
    /// forgotten, and it comes again, a few times.
    Failed {
        /// The event.
        id: String,
        /// Why. It is logged: nothing that somebody said belongs here.
        message: String,
    },
    /// Says something without being asked. Answered by `posted`.
    Post {
        /// Names it for ever: of all posts with this key one is sent.
        key: String,
        /// The room's id.
        room: String,
        /// The text, in Markdown.
        text: String,
    },
    /// The answer to `ping`.
    Pong {
        /// The number in it.
        n: u64,
    },
}

/// Something that happened in a room.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// Its id, by which everything about it is named.
    pub id: String,
    /// How often it has been given to a robot, from one.
    pub attempt: u32,
    /// What it is.
    pub kind: EventKind,
    /// The room.
    pub room: String,
    /// Who sent it.
    pub sender: String,
    /// The text; what is said about a file; the new text of an edit; what
    /// somebody reacted with.
    pub text: String,
    /// Whether nobody but the sender and the agent is in the room.
    pub direct: bool,
    /// Whether it says of itself that no person wrote it.
    pub automated: bool,
    /// How sure it is who sent it.
    pub assurance: Sureness,
    /// Who is mentioned in it.
    pub mentions: Vec<String>,
    /// The first event of its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What it replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What an edit, a reaction or a redaction is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The file in it; its content comes by `fetch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<File>,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody said something.
    Message,
    /// Somebody sent a file.
    Media,
    /// Somebody changed a message.
    Edit,
    /// Somebody reacted to a message.
    Reaction,
    /// Somebody took a message back.
    Redaction,
    /// It is time for something; nobody sent it.
    Task,
}

/// How sure it is who sent an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// It was not encrypted: the homeserver says so.
    InTheClear,
    /// It was encrypted, and nothing proves by which device.
    Unproven,
    /// By a device that its owner has not signed.
    Unsigned,
    /// By a device that its owner has signed.
    Signed,
    /// By a user whom the agent's operator has verified, or a device that the
    /// operator has approved.
    Verified,
}

/// A file in an event, as its sender describes it.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
pub struct File {
    /// `image`, `video`, `audio`, `voice` or `file`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its media type; may be empty.
    pub content_type: String,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl fmt::Debug for ToRobot {
    /// Leaves out what somebody said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ToRobot")
    }
}

impl fmt::Debug for FromRobot {
    /// Leaves out what is said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FromRobot")
    }
}

impl fmt::Debug for Event {
    /// Leaves out what somebody said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Event").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for File {
    /// Leaves out its name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("File").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Event {
    /// A message as a robot gets it; `None` for those that are none of its business.
    pub fn of(message: &Message, attempt: u32) -> Option<Self> {
        let text = |id: &launcher_core::names::EventId| id.as_str().to_owned();
        Some(Self {
            id: text(&message.event),
            attempt,
            kind: EventKind::of(message.kind)?,
            room: message.room.as_str().to_owned(),
            sender: message.sender.as_str().to_owned(),
            text: message.body.clone(),
            direct: message.direct,
            automated: message.automated,
            assurance: message.assurance.into(),
            mentions: message.mentions.iter().map(|user| user.as_str().to_owned()).collect(),
            thread: message.thread.as_ref().map(text),
            reply_to: message.in_reply_to.as_ref().map(text),
            target: message.target.as_ref().map(text),
            media: message.media.as_ref().map(|media| File {
                kind: word(media.kind).to_owned(),
                name: media.name.clone(),
                content_type: media.content_type.clone(),
                size: media.size,
            }),
        })
    }
}

impl EventKind {
    fn of(kind: MessageKind) -> Option<Self> {
        match kind {
            MessageKind::Text | MessageKind::Notice => Some(Self::Message),
            MessageKind::Media => Some(Self::Media),
            MessageKind::Edit => Some(Self::Edit),
            MessageKind::Reaction => Some(Self::Reaction),
            MessageKind::Redaction => Some(Self::Redaction),
            MessageKind::Task => Some(Self::Task),
            MessageKind::Other => None,
        }
    }
}

impl From<Assurance> for Sureness {
    fn from(assurance: Assurance) -> Self {
        match assurance {
            Assurance::InTheClear => Self::InTheClear,
            Assurance::Unproven => Self::Unproven,
            Assurance::Unsigned => Self::Unsigned,
            Assurance::Signed => Self::Signed,
            Assurance::Verified => Self::Verified,
        }
    }
}

fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice",
        MediaKind::File => "file",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use schemars::{Schema, schema_for};
    use serde_json::{Map, Value, json};

    use super::*;

    fn reference(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
    }

    fn schema() -> Value {
        let part = |schema: Schema| schema.to_value();
        json!({
            "launcher to robot": part(schema_for!(ToRobot)),
            "robot to launcher": part(schema_for!(FromRobot)),
        })
    }

    /// The same with its keys in order, whatever crates are built with this one.
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.into_iter().collect();
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            other => other,
        }
    }

    #[test]
    fn the_schema_says_what_the_code_says() {
        let path = reference("process-protocol.schema.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&sorted(schema())).unwrap());
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is stale: run with UPDATE_REFERENCE=1", path.display());
    }

    #[test]
    fn every_type_and_field_is_described() {
        let page = fs::read_to_string(reference("process-protocol.md")).unwrap();
        let schema = schema();
        let mut names = Vec::new();
        for side in ["launcher to robot", "robot to launcher"] {
            for message in schema[side]["oneOf"].as_array().unwrap() {
                names.push(message["properties"]["type"]["const"].as_str().unwrap().to_owned());
                names.extend(message["properties"].as_object().unwrap().keys().cloned());
            }
        }
        let event = &schema["launcher to robot"]["$defs"]["Event"]["properties"];
        names.extend(event.as_object().unwrap().keys().cloned());
        assert!(names.len() > 40, "{names:?}");
        for name in names.iter().filter(|name| *name != "type") {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_types_are_not() {
        let line = r#"{"type": "say", "id": "$1", "text": "x", "colour": "red"}"#;
        let said = serde_json::from_str::<FromRobot>(line).unwrap();
        assert!(said == FromRobot::Say { id: "$1".into(), text: "x".into() });
        for line in [
            r#"{"type": "sing", "id": "$1"}"#,
            r#"{"id": "$1"}"#,
            r#"{"type": "say", "id": "$1"}"#,
            r#"{"type": "pong", "n": -1}"#,
            "[]",
            "say",
        ] {
            assert!(serde_json::from_str::<FromRobot>(line).is_err(), "{line}");
        }
    }
}
