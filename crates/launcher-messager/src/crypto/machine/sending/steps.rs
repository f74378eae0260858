//! The steps of sending, each within the transaction of its caller.

use std::collections::{BTreeMap, BTreeSet};

use vodozemac::megolm::{GroupSession, SessionConfig};

use super::{Audience, Draft, Step};
use crate::{
    crypto::{
        AccountId, Address, Circle, Content, EnvelopeKind, PeerKey, Place, RoomId, SealedRow,
        SessionId,
        envelope::filler,
        machine::{
            Me,
            delivering::{MEND_PAUSE, fanouts},
            pairing::pack,
        },
        parcel::Goods,
        rotation::{Wear, is_usable},
        row,
    },
    store::{GroupOut, OutboxRow, OutgoingRow, SealedKey, SentRecord, StoreError, Tx},
};

/// Whom a message is for: each device that is there with the keys it had, is
/// allowed with these, and was not left out.
pub(super) fn circle(
    tx: &Tx<'_>,
    me: &Me,
    audience: &Audience,
    now: u64,
) -> Result<Circle, StoreError> {
    let mut circle = Circle { members: audience.members.clone(), devices: BTreeMap::new() };
    for account in &audience.members {
        for device in tx.devices(*account)?.into_values() {
            let is_wanted =
                device.is_present() && device.address != me.address && audience.allows(&device);
            if !is_wanted {
                continue;
            }
            let unreachable = tx.peer(&device.peer_key())?.unreachable;
            let is_given_up = unreachable != 0 && now.abs_diff(unreachable) < MEND_PAUSE;
            if !is_given_up || tx.has_pair(&device.peer_key())? {
                circle.devices.insert(device.address.clone(), device.keys());
            }
        }
    }
    Ok(circle)
}

/// The same bytes once more, if they are for the same devices as now.
pub(super) fn again(
    tx: &Tx<'_>,
    me: &Me,
    draft: &Draft,
    earlier: OutboxRow,
    circle: &Circle,
) -> Result<Option<Step>, StoreError> {
    let session = earlier.place.session;
    let Some((sent, false)) = tx.sent(session)? else { return Ok(None) };
    let Some(ciphertext) = earlier.ciphertext.filter(|_| sent.circle == *circle) else {
        return Ok(None);
    };
    if let Some(step) = waiting(tx, me, session)? {
        return Ok(Some(step));
    }
    Ok(Some(Step::Post(SealedRow {
        room: draft.room,
        action: draft.action,
        client_message_id: draft.client_message_id.clone(),
        epoch: label(earlier.epoch),
        ciphertext,
    })))
}

/// The room's session, if it can be used once more.
pub(super) fn current(
    tx: &Tx<'_>,
    room: RoomId,
    circle: &Circle,
    now: u64,
) -> Result<Option<(SessionId, GroupOut)>, StoreError> {
    let Some((session, group)) = tx.group_out(room)? else { return Ok(None) };
    let Some((sent, false)) = tx.sent(session)? else { return Ok(None) };
    let group_session = GroupSession::from_pickle(group.session);
    let wear = Wear { made: group.made, next_index: group_session.message_index() };
    let group = GroupOut { session: group_session.pickle(), made: group.made };
    Ok(is_usable(&sent.circle, wear, circle, now).then_some((session, group)))
}

/// What came of beginning a session.
pub(super) enum Begun {
    Session(SessionId, Box<GroupOut>),
    Claim(Vec<AccountId>),
}

/// Makes a session for exactly these devices, and lines up its key for each.
pub(super) fn begin(
    tx: &Tx<'_>,
    me: &Me,
    room: RoomId,
    circle: Circle,
    audience: &Audience,
    now: u64,
) -> Result<Begun, StoreError> {
    let mut unpaired = BTreeSet::new();
    for (address, keys) in &circle.devices {
        if !tx.has_pair(&PeerKey::new(address, *keys))? {
            unpaired.insert(address.account);
        }
    }
    if !unpaired.is_empty() {
        return Ok(Begun::Claim(unpaired.into_iter().collect()));
    }
    let group = GroupSession::new(SessionConfig::version_1());
    let session = SessionId::from_base64(&group.session_id())
        .ok_or(StoreError::damaged("a session that was just made"))?;
    let epoch = tx.next_epoch(room)?;
    let key = SealedKey(group.session_key().to_base64());
    let line_up = |to: &Address, ciphertext| {
        tx.put_outgoing(&OutgoingRow {
            number: 0,
            to: to.clone(),
            kind: EnvelopeKind::SenderKey,
            room: Some(room),
            session: Some(session),
            client: format!("k:{session}:0"),
            ciphertext,
        })
    };
    for address in circle.devices.keys() {
        let Some(device) = tx.devices(address.account)?.remove(&address.device) else { continue };
        let goods = Goods::Key { room, epoch, key: Box::new(group.session_key()) };
        if let Some(ciphertext) = pack(tx, me, &device, goods)? {
            line_up(address, ciphertext)?;
        }
    }
    for (address, reason) in &audience.withheld {
        if audience.members.contains(&address.account) && *address != me.address {
            line_up(address, filler(*reason))?;
        }
    }
    let group = GroupOut { session: group.pickle(), made: now };
    tx.put_sent(session, &SentRecord { room, epoch, key, circle }, now)?;
    tx.put_group_out(room, session, &group)?;
    Ok(Begun::Session(session, Box::new(group)))
}

/// Keys of the session that the server does not have yet.
pub(super) fn waiting(
    tx: &Tx<'_>,
    me: &Me,
    session: SessionId,
) -> Result<Option<Step>, StoreError> {
    let fanouts = fanouts(tx, me, tx.outgoing(Some(session))?)?;
    Ok((!fanouts.is_empty()).then_some(Step::Deliver(fanouts)))
}

/// Takes one index of the session for this message.
pub(super) fn encrypt(
    tx: &Tx<'_>,
    me: &Me,
    draft: &Draft,
    session: SessionId,
    group: GroupOut,
    now: u64,
) -> Result<SealedRow, StoreError> {
    let Some((sent, _)) = tx.sent(session)? else {
        return Err(StoreError::damaged("the table of sessions"));
    };
    let content = Content {
        room: draft.room,
        sender: me.address.clone(),
        epoch: sent.epoch,
        client_message_id: draft.client_message_id.clone(),
        sent: now,
        action: draft.action,
        body: draft.body.clone(),
    };
    let mut ratchet = GroupSession::from_pickle(group.session);
    let place = Place { session, index: ratchet.message_index() };
    let message = ratchet.encrypt(&*content.encode());
    let ciphertext = row::wrap(session, &me.keys.curve25519, &message);
    let row = SealedRow {
        room: draft.room,
        action: draft.action,
        client_message_id: draft.client_message_id.clone(),
        epoch: label(sent.epoch),
        ciphertext,
    };
    let group = GroupOut { session: ratchet.pickle(), made: group.made };
    tx.put_group_out(draft.room, session, &group)?;
    let hash = row::hash(&row.ciphertext);
    tx.put_place(&me.keys.curve25519, place, None, &hash, &content, now)?;
    tx.put_outbox(&row, place, now)?;
    Ok(row)
}

/// An epoch as the server has it. It grows by one per session: it never comes
/// near the end.
fn label(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}
