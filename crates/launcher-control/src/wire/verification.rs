//! What is asked and answered about verifications.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use launcher_core::{
    names::{DeviceId, UserId},
    trust::Method,
};
use launcher_runtime::ports::trust::{Emoji, Partner, Stage, Verification, VerificationAnswer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The answer to `GET /v1/agents/{id}/verifications`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationsReply {
    /// Those that go on or ended a short while ago, oldest first.
    pub verifications: Vec<VerificationReply>,
}

/// A verification between the agent and somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationReply {
    /// Its number, for as long as the agent runs.
    pub number: u64,
    /// The other user; the agent's own, for another device of its account.
    pub user: String,
    /// The other device, once it is known.
    pub device: Option<String>,
    /// Whether the agent asked.
    pub we_asked: bool,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// Grows with every change.
    pub revision: u64,
    /// How far it is.
    pub stage: StageReply,
}

/// How far a verification is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageReply {
    /// Somebody asked; it waits for an operator.
    Requested,
    /// It waits for the other side.
    Waiting,
    /// Both sides see these; it waits for an operator's answer.
    Emojis(Vec<EmojiReply>),
    /// The content of the code that the other side has to scan.
    Code(CodeBytes),
    /// The other side says that it has scanned the code; it waits for an
    /// operator's answer.
    Scanned,
    /// Confirmed here; it waits for the other side.
    Confirmed,
    /// Both sides are done.
    Done,
    /// It ended otherwise, and nothing was verified.
    Cancelled {
        /// Whether this side did it.
        by_us: bool,
        /// The code of the cancellation.
        code: String,
        /// Why, in words.
        reason: String,
    },
}

/// One of the seven pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmojiReply {
    /// The picture.
    pub symbol: String,
    /// What it is called, in English.
    pub description: String,
}

/// The content of a code; base64 on the wire. It has a secret in it.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeBytes(pub Vec<u8>);

/// The body of `POST /v1/agents/{id}/verifications`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationRequest {
    /// The user; the agent's own, for another device of its account.
    pub user: UserId,
    /// One device of the agent's own account; all of them are asked without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// How.
    pub method: Method,
}

/// The body of `POST /v1/agents/{id}/verifications/{number}/answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// What an operator says.
    pub answer: AnswerWord,
}

/// What an operator says to a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWord {
    /// The emojis are the same; the other client shows that the code worked.
    Match,
    /// They are not; it does not.
    Mismatch,
    /// Enough of it.
    Cancel,
}

/// How long to wait for news of a verification; of the address, not a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patience {
    /// The revision that is known already.
    #[serde(default)]
    pub(crate) after: u64,
    /// How long to wait for a later one, in milliseconds.
    #[serde(default)]
    pub(crate) wait_ms: u64,
}

impl From<Verification> for VerificationReply {
    fn from(verification: Verification) -> Self {
        Self {
            number: verification.number,
            user: verification.user.to_string(),
            device: verification.device.map(|device| device.to_string()),
            we_asked: verification.we_asked,
            began_ms: verification.began,
            revision: verification.revision,
            stage: verification.stage.into(),
        }
    }
}

impl From<Stage> for StageReply {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Requested => Self::Requested,
            Stage::Waiting => Self::Waiting,
            Stage::Emojis(emojis) => Self::Emojis(emojis.into_iter().map(Into::into).collect()),
            Stage::Code(bytes) => Self::Code(CodeBytes(bytes)),
            Stage::Scanned => Self::Scanned,
            Stage::Confirmed => Self::Confirmed,
            Stage::Done => Self::Done,
            Stage::Cancelled { by_us, code, reason } => Self::Cancelled { by_us, code, reason },
        }
    }
}

impl From<Emoji> for EmojiReply {
    fn from(emoji: Emoji) -> Self {
        Self { symbol: emoji.symbol, description: emoji.description }
    }
}

impl VerificationRequest {
    pub(crate) fn partner(&self) -> Partner {
        Partner { user: self.user.clone(), device: self.device.clone() }
    }
}

impl From<AnswerWord> for VerificationAnswer {
    fn from(word: AnswerWord) -> Self {
        match word {
            AnswerWord::Match => Self::Match,
            AnswerWord::Mismatch => Self::Mismatch,
            AnswerWord::Cancel => Self::Cancel,
        }
    }
}

impl StageReply {
    /// Whether nothing follows any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Cancelled { .. })
    }
}

impl fmt::Debug for CodeBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CodeBytes({} bytes)", self.0.len())
    }
}

impl Serialize for CodeBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for CodeBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The message must not repeat what was given.
        STANDARD.decode(text).map(Self).map_err(|_| de::Error::custom("a code is base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_tagged_from_outside() {
        let emoji = EmojiReply { symbol: "🐶".to_owned(), description: "Dog".to_owned() };
        for (stage, json) in [
            (StageReply::Waiting, r#""waiting""#),
            (
                StageReply::Emojis(vec![emoji]),
                r#"{"emojis":[{"symbol":"🐶","description":"Dog"}]}"#,
            ),
            (StageReply::Code(CodeBytes(vec![0, 255, 10])), r#"{"code":"AP8K"}"#),
            (
                StageReply::Cancelled {
                    by_us: false,
                    code: "m.user".to_owned(),
                    reason: "no".to_owned(),
                },
                r#"{"cancelled":{"by_us":false,"code":"m.user","reason":"no"}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&stage).unwrap(), json);
            assert_eq!(serde_json::from_str::<StageReply>(json).unwrap(), stage);
        }
    }

    #[test]
    fn debug_shows_no_code() {
        let shown = format!("{:?}", StageReply::Code(CodeBytes(vec![65, 66])));
        assert_eq!(shown, "Code(CodeBytes(2 bytes))");
        let error = serde_json::from_str::<StageReply>(r#"{"code":"hunter2!"}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
