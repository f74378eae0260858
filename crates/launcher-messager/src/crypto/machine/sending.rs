//! One message, from the draft to the row that is ready to be sent.
//!
//! [`Machine::send`] is called again and again, and says each time what is
//! missing. Nothing is remembered in between but what is in the store, so a
//! kill costs at most the step that was under way.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::steps::{Begun, again, begin, circle, current, encrypt, waiting};
use super::{Machine, Me};
use crate::{
    crypto::{
        AccountId, Action, Address, Body, Fanout, MAX_BODY, PeerDevice, RoomId, RowId, SealedRow,
        Withheld,
    },
    store::{OutboxRow, StoreError, Tx},
};

/// How old a list of devices may be for a message to be sent, in milliseconds.
/// The server tells nobody when one changes.
pub(super) const LIST_AGE: u64 = 60 * 1000;

/// The longest name of a message in bytes, as the server has it.
const MAX_CLIENT_ID: usize = 128;

/// A message that is to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The devices that may have the key by the trust policy, as they were when
    /// it was asked; a device that came later, or has other keys by now, gets
    /// none. `None` if there is no policy.
    pub allowed: Option<BTreeMap<Address, PeerDevice>>,
    /// Those that may not, and are told why.
    pub withheld: BTreeMap<Address, Withheld>,
    /// Whether the room is for two: `encryption_mode` 1. Then no third account
    /// gets a key, whoever the server says is a member.
    pub is_direct: bool,
    /// Whom a room for two was with when that was first known. Nobody else gets
    /// a key instead.
    pub other: Option<AccountId>,
}

impl Audience {
    /// Whether a device may have the key with the keys that it has.
    fn allows(&self, device: &PeerDevice) -> bool {
        let as_judged = |judged: &BTreeMap<Address, PeerDevice>| {
            judged.get(&device.address).is_some_and(|judged| judged.keys() == device.keys())
        };
        self.allowed.as_ref().is_none_or(as_judged) && !self.withheld.contains_key(&device.address)
    }
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
    /// A room for two has more members.
    #[error("room {room} is for two people and has {members} members")]
    NotForTwo {
        /// The room.
        room: RoomId,
        /// How many.
        members: usize,
    },
    /// A room for two was with somebody else.
    #[error("room {room} is for two people and was with {other} before, not with {account}")]
    NotWith {
        /// The room.
        room: RoomId,
        /// Who is in it now.
        account: AccountId,
        /// Whom it was with.
        other: AccountId,
    },
    /// Text or mentions are too many.
    #[error("a message has {MAX_BODY} bytes of text and 64 mentions at most")]
    TooLong,
    /// Its name is empty or too long.
    #[error("a message's name has 1 to 128 bytes")]
    Name,
    /// A message of that name is in another room, or does something else.
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
    /// The name is the message. Under the same name with another text it still
    /// is one row, and says what reached the server first.
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
        if audience.is_direct {
            self.check_two(draft.room, audience)?;
        }
        let me = &self.me;
        self.store.write(|tx| next_step(tx, me, draft, audience, now))
    }

    /// Whether a room for two has nobody in it but this account and the one that
    /// it was with before.
    fn check_two(&self, room: RoomId, audience: &Audience) -> Result<(), SendError> {
        let members = audience.members.len();
        if members > 2 {
            return Err(SendError::NotForTwo { room, members });
        }
        let is_me = |account: &AccountId| *account == self.me.address.account;
        match (audience.members.iter().copied().find(|account| !is_me(account)), audience.other) {
            (Some(account), Some(other)) if account != other => {
                Err(SendError::NotWith { room, account, other })
            }
            _ => Ok(()),
        }
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
    let mut earlier = tx.outbox(&draft.client_message_id)?;
    if let Some(found) = &earlier {
        let is_same_text = is_same_text(tx, me, draft, found)?;
        if let Some(row) = found.posted {
            return Ok(Step::Posted(row));
        }
        // Its bytes say something else: if the server has them, it names their row.
        earlier = earlier.filter(|_| is_same_text);
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
            Begun::Session(session, group) => (session, *group),
            Begun::Claim(accounts) => return Ok(Step::Claim(accounts)),
        },
    };
    match waiting(tx, me, session)? {
        Some(step) => Ok(step),
        None => Ok(Step::Post(encrypt(tx, me, draft, session, group, now)?)),
    }
}

/// Whether a draft says what an earlier attempt under its name says. In another
/// room, or to do something else, the name is not its own.
fn is_same_text(
    tx: &Tx<'_>,
    me: &Me,
    draft: &Draft,
    earlier: &OutboxRow,
) -> Result<bool, SendError> {
    let content = tx.place(&me.keys.curve25519, earlier.place)?.and_then(|place| place.content);
    let is_same_action = content.as_ref().is_none_or(|content| content.action == draft.action);
    if !is_same_action || earlier.room != draft.room {
        return Err(SendError::Taken { client_message_id: draft.client_message_id.clone() });
    }
    Ok(content.is_none_or(|content| content.body == draft.body))
}
