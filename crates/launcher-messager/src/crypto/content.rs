//! What is inside a row: the message, and everything that the server could
//! otherwise say differently about it.
//!
//! The bytes are padded to a few sizes, so that the length of a ciphertext
//! tells little about the length of a message.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    codec::{Malformed, Reader, Writer},
    ids::{AccountId, Address, RoomId, RowId},
};

/// The longest text in bytes. With everything around it, and as base64, it
/// stays under what servers take.
pub const MAX_BODY: usize = 32 * 1024;

/// How many accounts a message can mention.
const MAX_MENTIONS: usize = 64;

/// The only version there is.
const VERSION: u8 = 1;

/// Below this, content has the size of the next power of two.
const PAGE: usize = 4096;

/// The smallest size.
const SMALLEST: usize = 256;

/// Tags of what a message may have beside its text. Those from 128 on may be
/// passed over by who does not know them; others may not.
mod tag {
    pub(super) const REPLY_TO: u8 = 1;
    pub(super) const THREAD: u8 = 2;
    pub(super) const MENTION: u8 = 3;
    pub(super) const AUTOMATED: u8 = 128;
    /// Those from here on are not known yet.
    pub(super) const OPTIONAL: u8 = 129;
}

/// The content of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The room it was written for.
    pub room: RoomId,
    /// The device that wrote it.
    pub sender: Address,
    /// The number of the sender's session in the room.
    pub epoch: u64,
    /// The sender's name for it; the same for every attempt to send it.
    pub client_message_id: String,
    /// When it was written, by the sender's clock: milliseconds since 1970.
    pub sent: u64,
    /// What it does.
    pub action: Action,
    /// What it says.
    pub body: Body,
}

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is a message.
    New,
    /// It takes a message's place.
    Edit {
        /// The row of the message.
        target: RowId,
    },
    /// It takes a message away.
    Delete {
        /// The row of the message.
        target: RowId,
    },
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its text; empty in a deletion. At most [`MAX_BODY`] bytes.
    pub text: String,
    /// The row that it answers.
    pub reply_to: Option<RowId>,
    /// The row that its thread began with.
    pub thread: Option<RowId>,
    /// Whom it mentions, in ascending order, each once; at most 64.
    pub mentions: Vec<AccountId>,
    /// Whether it says of itself that no person wrote it. Agents do not answer
    /// each other because of this.
    pub automated: bool,
}

impl Action {
    /// The server's word for it, `encryption_message_type`.
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "content.new",
            Self::Edit { .. } => "content.edit",
            Self::Delete { .. } => "content.delete",
        }
    }

    /// The row that it is about, if it is about one.
    pub fn target(self) -> Option<RowId> {
        match self {
            Self::New => None,
            Self::Edit { target } | Self::Delete { target } => Some(target),
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::New => 1,
            Self::Edit { .. } => 2,
            Self::Delete { .. } => 3,
        }
    }
}

impl Body {
    /// A message that is only text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Whether it has a size that can be sent.
    pub(crate) fn fits(&self) -> bool {
        self.text.len() <= MAX_BODY && self.mentions.len() <= MAX_MENTIONS
    }
}

impl Content {
    /// The bytes, padded.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer
            .byte(VERSION)
            .byte(self.action.code())
            .raw(self.room.as_bytes())
            .address(&self.sender)
            .long(self.epoch)
            .text(&self.client_message_id)
            .long(self.sent);
        if let Some(target) = self.action.target() {
            writer.raw(target.as_bytes());
        }
        writer.text(&self.body.text);
        let row = |row: Option<RowId>| row.map(|row| *row.as_bytes());
        let single =
            [(tag::REPLY_TO, row(self.body.reply_to)), (tag::THREAD, row(self.body.thread))];
        for (tag, value) in single.into_iter().filter_map(|(tag, value)| Some((tag, value?))) {
            writer.byte(tag).bytes(&value);
        }
        for account in &self.body.mentions {
            writer.byte(tag::MENTION).bytes(account.as_bytes());
        }
        if self.body.automated {
            writer.byte(tag::AUTOMATED).bytes(&[]);
        }
        // Zero is no tag: what follows it is padding.
        let mut bytes = Zeroizing::new(writer.finish());
        let size = padded(bytes.len().saturating_add(1));
        bytes.resize(size, 0);
        bytes
    }

    /// From the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return Err(Malformed("it is of a version that is not known"));
        }
        let action = reader.byte()?;
        let room = reader.room()?;
        let sender = reader.address()?;
        let epoch = reader.long()?;
        let client_message_id = reader.text()?.to_owned();
        let sent = reader.long()?;
        let action = match action {
            1 => Action::New,
            2 => Action::Edit { target: reader.row()? },
            3 => Action::Delete { target: reader.row()? },
            _ => return Err(Malformed("it does something that is not known")),
        };
        let mut body = Body::text(reader.text()?);
        read_extras(&mut reader, &mut body)?;
        if reader.rest().iter().any(|&byte| byte != 0) {
            return Err(Malformed("its padding is not empty"));
        }
        Ok(Self { room, sender, epoch, client_message_id, sent, action, body })
    }
}

fn read_extras(reader: &mut Reader<'_>, body: &mut Body) -> Result<(), Malformed> {
    let twice = Err(Malformed("it says something twice"));
    loop {
        let tag = reader.byte()?;
        if tag == 0 {
            return Ok(());
        }
        let mut value = Reader::new(reader.bytes()?);
        match tag {
            tag::REPLY_TO if body.reply_to.is_none() => body.reply_to = Some(value.row()?),
            tag::THREAD if body.thread.is_none() => body.thread = Some(value.row()?),
            tag::REPLY_TO | tag::THREAD => return twice,
            tag::MENTION => {
                let account = value.account()?;
                let is_next = body.mentions.last().is_none_or(|last| *last < account);
                if !is_next || body.mentions.len() == MAX_MENTIONS {
                    return Err(Malformed("its mentions are out of order or too many"));
                }
                body.mentions.push(account);
            }
            tag::AUTOMATED if !body.automated => body.automated = true,
            tag::AUTOMATED => return twice,
            tag::OPTIONAL.. => continue,
            _ => return Err(Malformed("it has a part that has to be known and is not")),
        }
        value.end()?;
    }
}

/// The size that `length` bytes are padded to.
pub(crate) fn padded(length: usize) -> usize {
    if length > PAGE {
        return length.next_multiple_of(PAGE);
    }
    length.max(SMALLEST).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::DeviceName;

    pub(super) fn content(text: &str, action: Action) -> Content {
        Content {
            room: RoomId::from_bytes([1; 16]),
            sender: Address::new(AccountId::from_bytes([2; 16]), DeviceName::new("phone").unwrap()),
            epoch: 7,
            client_message_id: "id 1".to_owned(),
            sent: 1_763_750_000_000,
            action,
            body: Body {
                text: text.to_owned(),
                reply_to: Some(RowId::from_bytes([3; 16])),
                thread: None,
                mentions: vec![AccountId::from_bytes([4; 16]), AccountId::from_bytes([5; 16])],
                automated: true,
            },
        }
    }

    #[test]
    fn content_survives_its_bytes() {
        let target = RowId::from_bytes([9; 16]);
        for action in [Action::New, Action::Edit { target }, Action::Delete { target }] {
            let content = content("hé", action);
            assert_eq!(Content::decode(&content.encode()), Ok(content));
        }
    }

    #[test]
    fn short_texts_have_one_length() {
        let length = |text: &str| content(text, Action::New).encode().len();
        assert_eq!(length("yes"), length("no, I would rather not"));
        assert_eq!(length("yes"), 256);
        assert_eq!(length(&"x".repeat(5000)), 8192);
    }

    #[test]
    fn no_shortened_or_lengthened_content_is_read_as_another() {
        let bytes = content("hi", Action::New).encode();
        let original = Content::decode(&bytes);
        for length in 0..bytes.len() {
            let cut = Content::decode(&bytes[..length]);
            assert!(cut.is_err() || cut == original, "{length}");
        }
        assert!(Content::decode(&[&bytes[..], &[1]].concat()).is_err());
    }

    #[test]
    fn a_part_that_is_not_known_is_passed_over_only_if_it_says_so() {
        let mut plain = content("hi", Action::New);
        plain.body = Body::text("hi");
        let bytes = plain.encode();
        let end = 1 + bytes.iter().rposition(|&byte| byte != 0).unwrap();
        let with = |tag: u8| [&bytes[..end], &[tag, 0, 0, 0, 1, 42, 0]].concat();
        assert_eq!(Content::decode(&with(200)), Ok(plain));
        assert!(Content::decode(&with(90)).is_err());
    }
}
