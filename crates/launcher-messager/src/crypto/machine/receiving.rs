//! One envelope, from the server's claim to what its sender wanted.
//!
//! What it leads to is stored together with the ratchet that opened it, before
//! the caller acknowledges it at the server. A kill in between has the server
//! give it again, and then it is known.

use vodozemac::{
    Curve25519PublicKey,
    megolm::{InboundGroupSession, SessionConfig, SessionKey},
};

use super::{Machine, Me, asking, pairing};
use crate::{
    crypto::{
        AccountId, Address, Envelope, EnvelopeKind, PeerDevice, RoomId, SessionId, Withheld,
        envelope::{Container, unwrap},
        parcel::{Goods, Parcel},
        rotation::MAX_INDEX,
        row,
    },
    store::{InboundRecord, StoreError, Tx},
};

/// Whether the sender's devices were asked for because of this envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not yet.
    AsKnown,
    /// They have just been handed to [`Machine::devices`].
    JustLookedUp,
}

/// What came of an envelope. Everything but [`Received::LookUp`] is final:
/// acknowledge the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nobody knows the device. Ask for the account's devices, hand them to
    /// [`Machine::devices`], and the envelope in again as
    /// [`Freshness::JustLookedUp`]. Do not acknowledge it yet.
    LookUp(AccountId),
    /// A session's key: open the room's locked rows again.
    Key {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// Whose session it is.
        from: Address,
    },
    /// Somebody asks for a key: see [`Machine::asks`].
    Asked,
    /// A device does not give this one a key, and says so itself.
    Withheld {
        /// The device.
        from: Address,
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// Why.
        reason: Withheld,
    },
    /// The server says that a device gives this one no key. Nothing proves it.
    SaidToBeWithheld(Withheld),
    /// Nothing that leads to anything.
    Nothing,
    /// It was here before.
    Duplicate,
    /// No session opens it. A new one is made; see [`Machine::work`].
    Undecryptable {
        /// From whom it is.
        from: Address,
    },
    /// It is not what the server says.
    Refused(EnvelopeRefusal),
}

/// Why an envelope leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvelopeRefusal {
    /// It is not what it should be.
    Malformed,
    /// Its sender has no device with that key.
    UnknownDevice,
    /// It is from another device than the server says.
    OtherDevice,
    /// What is inside was made by somebody else, or for somebody else.
    OtherEnds,
    /// It is about another room than the server says, or of another kind.
    OtherLabel,
    /// There is another session of that name from the same device.
    SessionTaken,
}

impl EnvelopeRefusal {
    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownDevice => "unknown_device",
            Self::OtherDevice => "other_device",
            Self::OtherEnds => "other_ends",
            Self::OtherLabel => "other_label",
            Self::SessionTaken => "session_taken",
        }
    }
}

impl Machine {
    /// Takes in an envelope. It can be handed in any number of times.
    ///
    /// # Errors
    ///
    /// If the store cannot be used; do not acknowledge the envelope then.
    pub fn receive(
        &mut self,
        envelope: &Envelope,
        freshness: Freshness,
        now: u64,
    ) -> Result<Received, StoreError> {
        let me = &self.me;
        self.store.write(|tx| take_in(tx, me, envelope, freshness, now))
    }
}

fn take_in(
    tx: &Tx<'_>,
    me: &Me,
    envelope: &Envelope,
    freshness: Freshness,
    now: u64,
) -> Result<Received, StoreError> {
    let (from, message) = match unwrap(&envelope.ciphertext) {
        Ok(Container::Olm { from, message }) => (from, message),
        Ok(Container::Filler(Withheld::Own)) => return Ok(Received::Nothing),
        Ok(Container::Filler(reason)) => return Ok(Received::SaidToBeWithheld(reason)),
        Err(_) => return Ok(Received::Refused(EnvelopeRefusal::Malformed)),
    };
    let hash = row::hash(&envelope.ciphertext);
    if tx.knows_envelope(&hash)? {
        return Ok(Received::Duplicate);
    }
    let Some(device) = tx.device_with(envelope.sender.account, &from)? else {
        return Ok(match freshness {
            Freshness::AsKnown => Received::LookUp(envelope.sender.account),
            Freshness::JustLookedUp => Received::Refused(EnvelopeRefusal::UnknownDevice),
        });
    };
    if device.address.device != envelope.sender.device {
        return Ok(Received::Refused(EnvelopeRefusal::OtherDevice));
    }
    let Some(plain) = pairing::unpack(tx, &device, &message)? else {
        // Not noted as known: what is wrong with it may be that an earlier one is still to come.
        let peer = device.peer_key();
        let mut state = tx.peer(&peer)?;
        state.is_wedged |= device.is_present();
        tx.put_peer(&peer, device.address.account, state)?;
        return Ok(Received::Undecryptable { from: device.address });
    };
    tx.note_envelope(&hash, now)?;
    let Ok(parcel) = Parcel::decode(&plain) else {
        return Ok(Received::Refused(EnvelopeRefusal::Malformed));
    };
    let is_from_them =
        parcel.from.address == device.address && parcel.from.ed25519 == device.ed25519;
    if !is_from_them || parcel.to != me.end() {
        return Ok(Received::Refused(EnvelopeRefusal::OtherEnds));
    }
    if !is_labelled(envelope, &parcel.goods) {
        return Ok(Received::Refused(EnvelopeRefusal::OtherLabel));
    }
    act(tx, me, &device, &from, parcel.goods, now)
}

/// Whether the server's labels are those of what is inside.
fn is_labelled(envelope: &Envelope, goods: &Goods) -> bool {
    let kind = EnvelopeKind::from_number(envelope.kind.into());
    match goods {
        Goods::Key { room, .. } => {
            kind == Some(EnvelopeKind::SenderKey) && envelope.group == Some(*room)
        }
        Goods::KeyMissing { .. } | Goods::KeyWithheld { .. } | Goods::Nothing => {
            kind == Some(EnvelopeKind::Control)
        }
    }
}

fn act(
    tx: &Tx<'_>,
    me: &Me,
    device: &PeerDevice,
    from: &Curve25519PublicKey,
    goods: Goods,
    now: u64,
) -> Result<Received, StoreError> {
    match goods {
        Goods::Key { room, epoch, key } => keep(tx, device, from, (room, epoch), &key, now),
        Goods::KeyMissing { room, session } => {
            let is_pending = asking::asked(tx, me, device, room, session)?;
            Ok(if is_pending { Received::Asked } else { Received::Nothing })
        }
        Goods::KeyWithheld { room, session, reason } => {
            asking::give_up(tx, device, session)?;
            Ok(Received::Withheld { from: device.address.clone(), room, session, reason })
        }
        Goods::Nothing => Ok(Received::Nothing),
    }
}

/// Keeps a session's key, or the better part of it and the one that is there.
fn keep(
    tx: &Tx<'_>,
    device: &PeerDevice,
    from: &Curve25519PublicKey,
    (room, epoch): (RoomId, u64),
    key: &SessionKey,
    now: u64,
) -> Result<Received, StoreError> {
    let mut given = InboundGroupSession::new(key, SessionConfig::version_1());
    let id = SessionId::from_base64(&given.session_id());
    let Some(session) = id.filter(|_| given.first_known_index() < MAX_INDEX) else {
        return Ok(Received::Refused(EnvelopeRefusal::Malformed));
    };
    if let Some(known) = tx.inbound(session, from)? {
        let mut there = InboundGroupSession::from_pickle(known.session);
        let is_same = known.room == room && known.epoch == epoch;
        match there.merge(&mut given).filter(|_| is_same) {
            Some(merged) => given = merged,
            None => return Ok(Received::Refused(EnvelopeRefusal::SessionTaken)),
        }
    }
    let record = InboundRecord {
        session: given.pickle(),
        room,
        epoch,
        owner: device.address.clone(),
        ed25519: device.ed25519,
    };
    tx.put_inbound(session, from, &record, now)?;
    tx.not_missing(session, from)?;
    Ok(Received::Key { room, session, from: device.address.clone() })
}
