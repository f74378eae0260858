//! What one device tells another in an envelope, inside the Olm encryption.
//!
//! Both ends are named in it, with their signing keys: an Olm message proves
//! who has the identity key, and no more (spec of Matrix, 10.12.1: `sender`,
//! `keys`, `recipient`, `recipient_keys`).

use serde::{Deserialize, Serialize};
use vodozemac::{Ed25519PublicKey, megolm::SessionKey};
use zeroize::Zeroizing;

use super::{
    codec::{Malformed, Reader, Writer},
    content::padded,
    ids::{Address, RoomId, SessionId},
};

const VERSION: u8 = 1;

/// A parcel with both of its ends.
pub(crate) struct Parcel {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) goods: Goods,
}

/// One end: a device and its signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) address: Address,
    pub(crate) ed25519: Ed25519PublicKey,
}

/// What is in it.
pub(crate) enum Goods {
    /// The key of a session of the sender's.
    Key { room: RoomId, epoch: u64, key: Box<SessionKey> },
    /// The sender has rows of a session and not its key.
    KeyMissing { room: RoomId, session: SessionId },
    /// The sender does not give the key of this session.
    KeyWithheld { room: RoomId, session: SessionId, reason: Withheld },
    /// Nothing: it is about the Olm session that it came by.
    Nothing,
}

/// Why a device gets no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// It has been blocked.
    Blocked,
    /// Nobody has approved it.
    Unapproved,
    /// Its keys are not the ones that it had, or not proven to be its own.
    Keys,
    /// It was not among those whom the session is for.
    NotEntitled,
    /// It needs none.
    Own,
}

impl Withheld {
    const ALL: [Self; 5] =
        [Self::Blocked, Self::Unapproved, Self::Keys, Self::NotEntitled, Self::Own];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Blocked => 1,
            Self::Unapproved => 2,
            Self::Keys => 3,
            Self::NotEntitled => 4,
            Self::Own => 5,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, Malformed> {
        let found = Self::ALL.into_iter().find(|reason| reason.code() == code);
        found.ok_or(Malformed("it withholds a key for a reason that is not known"))
    }
}

impl Parcel {
    /// The bytes, padded.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.byte(VERSION);
        for end in [&self.from, &self.to] {
            writer.address(&end.address).raw(end.ed25519.as_bytes());
        }
        match &self.goods {
            Goods::Key { room, epoch, key } => {
                let key = Zeroizing::new(key.to_bytes());
                writer.byte(1).raw(room.as_bytes()).long(*epoch).bytes(&key)
            }
            Goods::KeyMissing { room, session } => {
                writer.byte(2).raw(room.as_bytes()).raw(session.as_bytes())
            }
            Goods::KeyWithheld { room, session, reason } => {
                writer.byte(3).raw(room.as_bytes()).raw(session.as_bytes()).byte(reason.code())
            }
            Goods::Nothing => writer.byte(4),
        };
        let mut bytes = Zeroizing::new(writer.finish());
        let size = padded(bytes.len());
        bytes.resize(size, 0);
        bytes
    }

    /// From the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return Err(Malformed("it is of a version that is not known"));
        }
        let from = read_end(&mut reader)?;
        let to = read_end(&mut reader)?;
        let goods = match reader.byte()? {
            1 => {
                let (room, epoch) = (reader.room()?, reader.long()?);
                let key = SessionKey::from_bytes(reader.bytes()?)
                    .map_err(|_| Malformed("it has something that is no session key"))?;
                Goods::Key { room, epoch, key: Box::new(key) }
            }
            2 => Goods::KeyMissing { room: reader.room()?, session: reader.session()? },
            3 => Goods::KeyWithheld {
                room: reader.room()?,
                session: reader.session()?,
                reason: Withheld::from_code(reader.byte()?)?,
            },
            4 => Goods::Nothing,
            _ => return Err(Malformed("it has something that is not known")),
        };
        match reader.rest().iter().all(|&byte| byte == 0) {
            true => Ok(Self { from, to, goods }),
            false => Err(Malformed("its padding is not empty")),
        }
    }
}

fn read_end(reader: &mut Reader<'_>) -> Result<End, Malformed> {
    let address = reader.address()?;
    let ed25519 = Ed25519PublicKey::from_slice(&reader.array()?)
        .map_err(|_| Malformed("it has something that is no signing key"))?;
    Ok(End { address, ed25519 })
}

#[cfg(test)]
mod tests {
    use vodozemac::{Ed25519Keypair, megolm::GroupSession};

    use super::*;
    use crate::crypto::{AccountId, DeviceName};

    fn end(number: u8) -> End {
        let account = AccountId::from_bytes([number; 16]);
        let address = Address::new(account, DeviceName::new("phone").unwrap());
        End { address, ed25519: Ed25519Keypair::new().public_key() }
    }

    #[test]
    fn a_parcel_survives_its_bytes_and_none_that_is_cut_is_read() {
        let session = GroupSession::default();
        let room = RoomId::from_bytes([3; 16]);
        let goods = Goods::Key { room, epoch: 4, key: Box::new(session.session_key()) };
        let parcel = Parcel { from: end(1), to: end(2), goods };
        let bytes = parcel.encode();
        let read = Parcel::decode(&bytes).unwrap();
        assert_eq!((&read.from, &read.to), (&parcel.from, &parcel.to));
        assert!(matches!(read.goods, Goods::Key { room: found, epoch: 4, .. } if found == room));
        let end = 1 + bytes.iter().rposition(|&byte| byte != 0).unwrap();
        for length in 0..end {
            assert!(Parcel::decode(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        for reason in Withheld::ALL {
            assert_eq!(Withheld::from_code(reason.code()), Ok(reason));
        }
    }
}
