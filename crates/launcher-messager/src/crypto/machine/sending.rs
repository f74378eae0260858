//! One message, from the draft to the row that is ready to be sent.
//!
//! [`Machine::send`] is called again and again, and says each time what is
//! missing. Nothing is remembered in between but what is in the store, so a
//! kill costs at most the step that was under way.

use std::collections::{BTreeMap, BTreeSet};

use vodozemac::megolm::{GroupSession, SessionConfig};

use super::{
    Machine, Me,
    delivering::{MEND_PAUSE, fanouts},
    pairing::pack,
};
use crate::{
    crypto::{
        AccountId, Action, Address, Body, Circle, Content, EnvelopeKind, Fanout, MAX_BODY, Place,
        RoomId, RowId, SealedRow, SessionId, Withheld,
        envelope::filler,
        parcel::Goods,
        rotation::{Wear, is_usable},
        row,
    },
    store::{GroupOut, OutboxRow, OutgoingRow, SealedKey, SentRecord, StoreError, Tx},
};

/// How old a list of devices may be for a message to be sent, in milliseconds.
/// The server tells nobody when one changes.
pub(super) const LIST_AGE: u64 = 60 * 1000;

/// The longest name of a message in bytes, as the server has it.
const MAX_CLIENT_ID: usize = 128;

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where.
    pub room: RoomId,
    /// What it is called; the same for every attempt. 1 to 128 bytes.
    pub client_message_id: String,
    /// What it does.
    pub action: Action,
    /// What it says.
    pub body: Body,
}

/// Who is to be able to read a message.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    /// The active members of the room, this account included. Each device of
    /// theirs gets the key, also the other devices of this account.
    pub members: BTreeSet<AccountId>,
    /// Except these, by the trust policy.
    pub withheld: BTreeMap<Address, Withheld>,
}

/// What is to be done next for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for these accounts' devices, and hand them to [`Machine::devices`].
    /// Then judge them, and call [`Machine::send`] with the audience as it is now.
    LookUp(Vec<AccountId>),
    /// Claim a key of each device, and hand them to [`Machine::claimed`].
    Claim(Vec<AccountId>),
    /// Send these in this order, and report each by [`Machine::delivered`].
    Deliver(Vec<Fanout>),
    /// Send this, and report it by [`Machine::posted`].
    Post(SealedRow),
    /// The server has it, in this row.
    Posted(RowId),
}

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This account is not among the members.
    #[error("this account is not a member of room {room}")]
    NotAMember {
        /// The room.
        room: RoomId,
    },
    /// Text or mentions are too many.
    #[error("a message has {MAX_BODY} bytes of text and 64 mentions at most")]
    TooLong,
    /// Its name is empty or too long.
    #[error("a message's name has 1 to 128 bytes")]
    Name,
    /// There is another message of that name.
    #[error("{client_message_id} is the name of another message")]
    Taken {
        /// The name.
        client_message_id: String,
    },
}

impl Machine {
    /// Says what is to be done next for a message. Call it until it says
    /// [`Step::Posted`], with the members as they are then. The first attempts
    /// of the same draft may be in an earlier life.
    ///
    /// # Errors
    ///
    /// If the draft is not one that can be sent, or the store cannot be used.
    pub fn send(
        &mut self,
        draft: &Draft,
        audience: &Audience,
        now: u64,
    ) -> Result<Step, SendError> {
        if !(1..=MAX_CLIENT_ID).contains(&draft.client_message_id.len()) {
            return Err(SendError::Name);
        }
        if !draft.body.fits() {
            return Err(SendError::TooLong);
        }
        if !audience.members.contains(&self.me.address.account) {
            return Err(SendError::NotAMember { room: draft.room });
        }
        let me = &self.me;
        self.store.write(|tx| next_step(tx, me, draft, audience, now))
    }

    /// The server has the message; for an edit or a deletion, `row` is the one
    /// that it is about. Reading the message's row has the same effect.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn posted(&mut self, client_message_id: &str, row: RowId) -> Result<(), StoreError> {
        self.store.write(|tx| tx.posted(client_message_id, row))
    }

    /// Has the room's next message begin a new session. Call it for
    /// `system.e2ee.rotate_required`; that members or devices changed is found
    /// without it.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn rotate(&mut self, room: RoomId) -> Result<(), StoreError> {
        self.store.write(|tx| tx.retire(room))
    }
}

fn next_step(
    tx: &Tx<'_>,
    me: &Me,
    draft: &Draft,
    audience: &Audience,
    now: u64,
) -> Result<Step, SendError> {
    let earlier = tx.outbox(&draft.client_message_id)?;
    if let Some(earlier) = &earlier {
        check_same(tx, me, draft, earlier)?;
        if let Some(row) = earlier.posted {
            return Ok(Step::Posted(row));
        }
    }
    let mut stale = Vec::new();
    for account in &audience.members {
        let record = tx.account(*account)?;
        if record.is_none_or(|record| now.abs_diff(record.fetched) > LIST_AGE) {
            stale.push(*account);
        }
    }
    if !stale.is_empty() {
        return Ok(Step::LookUp(stale));
    }
    let circle = circle(tx, me, audience, now)?;
    if let Some(earlier) = earlier
        && let Some(step) = again(tx, me, draft, earlier, &circle)?
    {
        return Ok(step);
    }
    let (session, group) = match current(tx, draft.room, &circle, now)? {
        Some(current) => current,
        None => match begin(tx, me, draft.room, circle, audience, now)? {
            Begun::Session(session, group) => (session, group),
            Begun::Claim(accounts) => return Ok(Step::Claim(accounts)),
        },
    };
    match waiting(tx, me, session)? {
        Some(step) => Ok(step),
        None => Ok(Step::Post(encrypt(tx, me, draft, session, group, now)?)),
    }
}

/// Makes sure that a name is not used for two messages.
fn check_same(tx: &Tx<'_>, me: &Me, draft: &Draft, earlier: &OutboxRow) -> Result<(), SendError> {
    let content = tx.place(&me.keys.curve25519, earlier.place)?.and_then(|place| place.content);
    let is_same =
        content.is_none_or(|content| content.action == draft.action && content.body == draft.body);
    match is_same && earlier.room == draft.room {
        true => Ok(()),
        false => Err(SendError::Taken { client_message_id: draft.client_message_id.clone() }),
    }
}

/// Whom a message is for: each device that is there with the keys it had, and
/// was not left out.
fn circle(tx: &Tx<'_>, me: &Me, audience: &Audience, now: u64) -> Result<Circle, StoreError> {
    let mut circle = Circle { members: audience.members.clone(), devices: BTreeMap::new() };
    for account in &audience.members {
        for device in tx.devices(*account)?.into_values() {
            let is_wanted = device.is_present()
                && device.address != me.address
                && !audience.withheld.contains_key(&device.address);
            if !is_wanted {
                continue;
            }
            let unreachable = tx.peer(&device.curve25519)?.unreachable;
            let is_given_up = unreachable != 0 && now.abs_diff(unreachable) < MEND_PAUSE;
            if !is_given_up || tx.has_pair(&device.curve25519)? {
                circle.devices.insert(device.address.clone(), device.keys());
            }
        }
    }
    Ok(circle)
}

/// The same bytes once more, if they are for the same devices as now.
fn again(
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
fn current(
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

enum Begun {
    Session(SessionId, GroupOut),
    Claim(Vec<AccountId>),
}

/// Makes a session for exactly these devices, and lines up its key for each.
fn begin(
    tx: &Tx<'_>,
    me: &Me,
    room: RoomId,
    circle: Circle,
    audience: &Audience,
    now: u64,
) -> Result<Begun, StoreError> {
    let mut unpaired = BTreeSet::new();
    for (address, keys) in &circle.devices {
        if !tx.has_pair(&keys.curve25519)? {
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
        let goods = Goods::Key { room, epoch, key: group.session_key() };
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
    Ok(Begun::Session(session, group))
}

/// Keys of the session that the server does not have yet.
fn waiting(tx: &Tx<'_>, me: &Me, session: SessionId) -> Result<Option<Step>, StoreError> {
    let fanouts = fanouts(tx, me, tx.outgoing(Some(session))?)?;
    Ok((!fanouts.is_empty()).then_some(Step::Deliver(fanouts)))
}

/// Takes one index of the session for this message.
fn encrypt(
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
