//! Olm: packing parcels into envelopes, and out of them.

use vodozemac::olm::{OlmMessage, SessionConfig};
use zeroize::Zeroizing;

use super::Me;
use crate::{
    crypto::{
        EnvelopeKind, PeerDevice, envelope,
        parcel::{End, Goods, Parcel},
    },
    store::{OutgoingRow, StoreError, Tx},
};

/// Packs goods for a device with the session that a message of its came by
/// last; `None` if there is none.
pub(super) fn pack(
    tx: &Tx<'_>,
    me: &Me,
    to: &PeerDevice,
    goods: Goods,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(mut session) = tx.pairs(&to.peer_key())?.into_iter().next() else {
        return Ok(None);
    };
    let to_end = End { address: to.address.clone(), ed25519: to.ed25519 };
    let parcel = Parcel { from: me.end(), to: to_end, goods };
    // It fails for keys only with which no session was made.
    let Ok(message) = session.encrypt(&*parcel.encode()) else { return Ok(None) };
    tx.put_pair(&to.peer_key(), &session)?;
    Ok(Some(envelope::wrap(&me.keys.curve25519, &message)))
}

/// Packs goods and lines them up as a control envelope; `false` without a session.
pub(super) fn control(
    tx: &Tx<'_>,
    me: &Me,
    to: &PeerDevice,
    goods: Goods,
    client: String,
) -> Result<bool, StoreError> {
    let Some(ciphertext) = pack(tx, me, to, goods)? else { return Ok(false) };
    let (kind, to) = (EnvelopeKind::Control, to.address.clone());
    let row = OutgoingRow { number: 0, to, kind, room: None, session: None, client, ciphertext };
    tx.put_outgoing(&row)?;
    Ok(true)
}

/// Decrypts a message of a device, and keeps what that changes; `None` if no
/// session and no key of ours opens it.
pub(super) fn unpack(
    tx: &Tx<'_>,
    from: &PeerDevice,
    message: &OlmMessage,
) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let peer = &from.peer_key();
    for mut session in tx.pairs(peer)? {
        let is_candidate = match message {
            OlmMessage::Normal(_) => true,
            OlmMessage::PreKey(message) => session.session_id() == message.session_id(),
        };
        if is_candidate && let Ok(plain) = session.decrypt(message) {
            tx.prefer_pair(peer, &session)?;
            return Ok(Some(Zeroizing::new(plain)));
        }
        if is_candidate && matches!(message, OlmMessage::PreKey(_)) {
            return Ok(None);
        }
    }
    let OlmMessage::PreKey(message) = message else { return Ok(None) };
    let mut own = tx.own()?;
    let identity = from.curve25519;
    let made = own.account.create_inbound_session(SessionConfig::version_1(), identity, message);
    let Ok(made) = made else { return Ok(None) };
    own.used(&message.one_time_key());
    tx.put_own(&own)?;
    tx.prefer_pair(peer, &made.session)?;
    Ok(Some(Zeroizing::new(made.plaintext)))
}
