//! Why a request is not carried out, and what its sender is told.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// What is wrong with a body, by the name of the field; `$` for the body itself.
pub(crate) type Problems = BTreeMap<String, Vec<String>>;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401: the route is for accounts only, and there is no token, or none that counts.
    Login,
    /// 401: what was asked for is not for everybody.
    LoginNeeded,
    /// 404: this is not there, or not for the one who asks.
    NotFound(&'static str),
    /// 403: with what is to be said about it.
    Forbidden(&'static str),
    /// 400: with what is to be said about it.
    Bad(Cow<'static, str>),
    /// 400: the body or the query does not have the form that it has to have.
    Invalid(Problems),
    /// 413: a body of more bytes than are taken.
    TooLarge,
    /// 415: a body that does not say that it is JSON.
    NotJson,
    /// 409: a rule of encryption.
    Encryption(EncryptionRule, &'static str),
    /// 409: the payloads of a fan-out are not those of the recipient's devices.
    Devices {
        /// Devices without a payload.
        missing: Vec<String>,
        /// Payloads without a device that could read them.
        unknown: Vec<String>,
    },
    /// 429: too many; the next is taken after this time.
    TooMany(Duration),
    /// 503: the server is stopping, or its disk is full.
    Unavailable,
    /// 500: the fault is the server's. What it was stands in the log.
    Broken,
}

/// A rule of encryption, by the code that clients know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncryptionRule {
    /// The client does not say that it can encrypt.
    Required,
    /// Voice clips would be in the clear.
    Voice,
    /// Something of the encrypted payload is missing.
    PayloadRequired,
    /// Something would be in the clear.
    PlaintextForbidden,
    /// The mode is not for this kind of room.
    ModeInvalid,
    /// The ciphertext is JSON.
    CiphertextInvalid,
    /// The mode is changed in another way.
    EnableEndpointRequired,
    /// The room is encrypted, and stays so.
    AlreadyEnabled,
    /// Two people can be in an encrypted direct chat.
    MemberLimit,
}

impl EncryptionRule {
    /// What stands in `code`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Required => "chat.e2ee_required",
            Self::Voice => "chat.e2ee_voice_not_supported_v1",
            Self::PayloadRequired => "chat.e2ee_payload_required",
            Self::PlaintextForbidden => "chat.e2ee_plaintext_forbidden",
            Self::ModeInvalid => "chat.e2ee_mode_invalid_for_room",
            Self::CiphertextInvalid => "chat.e2ee_ciphertext_invalid",
            Self::EnableEndpointRequired => "chat.e2ee_enable_endpoint_required",
            Self::AlreadyEnabled => "chat.e2ee_already_enabled",
            Self::MemberLimit => "chat.e2ee_dm_member_limit",
        }
    }
}

impl Refusal {
    /// One that says what is wrong with a request as a whole.
    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Bad(text.into())
    }

    /// One that says what is wrong with one field.
    pub(crate) fn field(name: &str, problem: impl Into<String>) -> Self {
        Self::Invalid(BTreeMap::from([(name.to_owned(), vec![problem.into()])]))
    }
}
