//! Rows of a timeline, and what is refused about one.
//!
//! The ciphertext is a container: the session, the identity key of the device
//! whose session it is, and the Megolm message. So which key opens a row does
//! not depend on the server's labels.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vodozemac::{Curve25519PublicKey, megolm::MegolmMessage};

use super::{
    codec::{Malformed, Reader, Writer},
    content::{Action, Content},
    ids::{AccountId, RoomId, RowId, SessionId},
};

/// What rows of ours are labelled with, `encryption_scheme`.
pub const SCHEME: &str = "launcher.megolm.v1";

const VERSION: u8 = 1;

/// The longest ciphertext in bytes that is looked at.
const MAX_CIPHERTEXT: usize = 64 * 1024;

/// A row as the server gives it. Everything in it is the server's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: RowId,
    /// The room it stands in.
    pub room: RoomId,
    /// The account that sent it: `sender.account_id`, not `sender_id`.
    pub sender: AccountId,
    /// Which kind of row it is.
    pub kind: RowKind,
    /// `encryption_scheme`.
    pub scheme: String,
    /// `encryption_epoch`.
    pub epoch: i64,
    /// `encryption_message_type`.
    pub message_type: String,
    /// `client_message_id`.
    pub client_message_id: Option<String>,
    /// Its bytes.
    pub ciphertext: Vec<u8>,
}

/// The kinds of rows that have ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowKind {
    /// `text`: a message as it is now. One that was edited has the ciphertext
    /// of its last edit.
    Message,
    /// `messages.update`: an edit.
    Update {
        /// The message: `meta.message_id`.
        of: RowId,
    },
    /// `messages.delete`: a deletion.
    Delete {
        /// The message: `meta.message_id`.
        of: RowId,
    },
}

impl Row {
    /// The session that it says it is from; `None` if it is none of ours.
    pub(crate) fn session(&self) -> Option<SessionId> {
        take(self).ok().map(|taken| taken.session)
    }
}

/// A row that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// Where it belongs.
    pub room: RoomId,
    /// What it does, which says how it is sent.
    pub action: Action,
    /// The same for every attempt.
    pub client_message_id: String,
    /// `encryption_epoch`.
    pub epoch: i64,
    /// `ciphertext`. `encryption_header` and `encryption_signature` stay empty.
    pub ciphertext: Vec<u8>,
}

/// Where a ciphertext stands in its session. No place is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The session.
    pub session: SessionId,
    /// The index in it.
    pub index: u32,
}

/// Why a row leads to nothing. Each is something that an honest server and
/// honest members do not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// It is encrypted in a way that is not ours.
    Scheme,
    /// It is not what its scheme says.
    Malformed,
    /// Signature or authentication code are wrong.
    Forged,
    /// It was written for another room.
    OtherRoom,
    /// Another account wrote it.
    OtherSender,
    /// The device that wrote it is not the one whose session it is.
    OtherDevice,
    /// It does something else than its row says.
    OtherAction,
    /// It is about another message than its row says.
    OtherTarget,
    /// Its sender called it something else.
    OtherClientMessageId,
    /// It is from another session of the sender than its row says.
    OtherEpoch,
    /// Its place was in another row.
    Replayed,
    /// Its place had another ciphertext.
    Altered,
    /// Its sender's name for it was in another row.
    Repeated,
    /// Its row held another message.
    RowTaken,
    /// It changes a message of another account.
    NotTheirs,
    /// It claims to be from this device, which never wrote it: somebody has a
    /// copy of this device's keys, or the server makes it up.
    NotOurs,
    /// Its index is beyond what any session reaches.
    IndexTooHigh,
    /// Its index is before the first that we were given.
    BeforeOurTime,
}

impl Refusal {
    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::OtherRoom => "other_room",
            Self::OtherSender => "other_sender",
            Self::OtherDevice => "other_device",
            Self::OtherAction => "other_action",
            Self::OtherTarget => "other_target",
            Self::OtherClientMessageId => "other_client_message_id",
            Self::OtherEpoch => "other_epoch",
            Self::Replayed => "replayed",
            Self::Altered => "altered",
            Self::Repeated => "repeated",
            Self::RowTaken => "row_taken",
            Self::NotTheirs => "not_theirs",
            Self::NotOurs => "not_ours",
            Self::IndexTooHigh => "index_too_high",
            Self::BeforeOurTime => "before_our_time",
        }
    }
}

/// A row's ciphertext, taken apart.
pub(crate) struct Taken {
    pub(crate) session: SessionId,
    pub(crate) from: Curve25519PublicKey,
    pub(crate) message: MegolmMessage,
    pub(crate) hash: [u8; 32],
}

pub(crate) fn wrap(
    session: SessionId,
    from: &Curve25519PublicKey,
    message: &MegolmMessage,
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(VERSION).raw(session.as_bytes()).raw(from.as_bytes()).raw(&message.to_bytes());
    writer.finish()
}

pub(crate) fn hash(ciphertext: &[u8]) -> [u8; 32] {
    Sha256::digest(ciphertext).into()
}

/// Takes a row's ciphertext apart.
pub(crate) fn take(row: &Row) -> Result<Taken, Refusal> {
    if row.scheme != SCHEME {
        return Err(Refusal::Scheme);
    }
    if row.ciphertext.len() > MAX_CIPHERTEXT {
        return Err(Refusal::Malformed);
    }
    unwrap(&row.ciphertext).map_err(|_| Refusal::Malformed)
}

fn unwrap(ciphertext: &[u8]) -> Result<Taken, Malformed> {
    let mut reader = Reader::new(ciphertext);
    if reader.byte()? != VERSION {
        return Err(Malformed("it is of a version that is not known"));
    }
    let session = reader.session()?;
    let from = Curve25519PublicKey::from_bytes(reader.array()?);
    let rest = reader.rest();
    let message = MegolmMessage::from_bytes(rest)
        .map_err(|_| Malformed("it holds something that is no Megolm message"))?;
    // Other bytes that mean the same would have a hash of their own, and keep
    // those of the sender out.
    if message.to_bytes() != rest {
        return Err(Malformed("its Megolm message is not in its only form"));
    }
    Ok(Taken { session, from, message, hash: hash(ciphertext) })
}

/// Compares what is inside a row with what the server says about it.
pub(crate) fn compare(row: &Row, content: &Content) -> Result<(), Refusal> {
    let holds = |is_so: bool, refusal: Refusal| if is_so { Ok(()) } else { Err(refusal) };
    holds(content.room == row.room, Refusal::OtherRoom)?;
    holds(content.sender.account == row.sender, Refusal::OtherSender)?;
    holds(content.action.label() == row.message_type, Refusal::OtherAction)?;
    holds(u64::try_from(row.epoch) == Ok(content.epoch), Refusal::OtherEpoch)?;
    match (row.kind, content.action) {
        (RowKind::Message, Action::New) => {}
        // The row of a message that was edited keeps the name of the first ciphertext.
        (RowKind::Message, Action::Edit { target }) => {
            return holds(target == row.id, Refusal::OtherTarget);
        }
        (RowKind::Update { of }, Action::Edit { target })
        | (RowKind::Delete { of }, Action::Delete { target }) => {
            holds(of == target, Refusal::OtherTarget)?;
        }
        (RowKind::Message | RowKind::Update { .. } | RowKind::Delete { .. }, _) => {
            return Err(Refusal::OtherAction);
        }
    }
    let is_same = row.client_message_id.as_deref() == Some(content.client_message_id.as_str());
    holds(is_same, Refusal::OtherClientMessageId)
}

/// Whether a row is the one that its ciphertext belongs to for good. The copy
/// of an edit in the edited message's row is not.
pub(crate) fn is_home(kind: RowKind, action: Action) -> bool {
    !matches!((kind, action), (RowKind::Message, Action::Edit { .. }))
}
