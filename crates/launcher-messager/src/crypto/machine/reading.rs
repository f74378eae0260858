//! One row, from the server's claim to what its sender wrote.
//!
//! A row that is refused leaves no trace, so that a false one does not keep
//! the true one out.

use vodozemac::{
    Curve25519PublicKey, Ed25519PublicKey,
    megolm::{DecryptionError, InboundGroupSession},
};

use super::{Machine, Me, asking};
use crate::{
    crypto::{
        Address, Content, PeerDevice, Place, Refusal, Row,
        rotation::MAX_INDEX,
        row::{Taken, compare, is_home, take},
    },
    store::{StoreError, Tx, client_hash},
};

/// What came of a row.
#[derive(Clone, Debug)]
pub enum Opened {
    /// It was read.
    Read(Box<ReadRow>),
    /// Its key is not there. Keep the row, and open it again when
    /// [`Received::Key`](super::Received::Key) names its room.
    Locked {
        /// Whether the key will be asked for: not if too many are missing.
        will_ask: bool,
    },
    /// It was read, or written by this device, so long ago that its content is
    /// forgotten.
    Forgotten,
    /// It is not what the server says, or comes a second time. Do not act upon it.
    Refused(Refusal),
}

/// A row that was read. Everything in it is proven but the trust in the device.
#[derive(Clone, Debug)]
pub struct ReadRow {
    /// What its sender wrote.
    pub content: Content,
    /// The device that wrote it.
    pub sender: RowSender,
    /// Where it stands in its session.
    pub place: Place,
    /// Whether it is this device's own.
    pub is_own: bool,
    /// Whether it was read before, in whichever answer of the server. Says
    /// nothing about whether anybody acted upon it.
    pub was_read: bool,
}

/// The device that wrote a row, as it was when it shared the key.
#[derive(Clone, Debug)]
pub struct RowSender {
    /// Its name.
    pub address: Address,
    /// Its identity key.
    pub curve25519: Curve25519PublicKey,
    /// Its signing key.
    pub ed25519: Ed25519PublicKey,
    /// The device as it is known now; `None` for this device itself, and for
    /// one whose keys were replaced.
    pub device: Option<PeerDevice>,
}

impl Machine {
    /// Opens a row, from whichever answer of the server it is.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn open_row(&mut self, row: &Row, now: u64) -> Result<Opened, StoreError> {
        let taken = match take(row) {
            Ok(taken) => taken,
            Err(refusal) => return Ok(Opened::Refused(refusal)),
        };
        let me = &self.me;
        self.store.write(|tx| match read(tx, me, row, &taken, now) {
            Ok(opened) => Ok(opened),
            Err(NotRead::Refused(refusal)) => Ok(Opened::Refused(refusal)),
            Err(NotRead::Store(error)) => Err(error),
        })
    }
}

/// Why a row was not read.
enum NotRead {
    Refused(Refusal),
    Store(StoreError),
}

impl From<Refusal> for NotRead {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for NotRead {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn read(tx: &Tx<'_>, me: &Me, row: &Row, taken: &Taken, now: u64) -> Result<Opened, NotRead> {
    let place = Place { session: taken.session, index: taken.message.message_index() };
    let is_own = taken.from == me.keys.curve25519;
    let known = tx.place(&taken.from, place)?;
    if known.as_ref().is_some_and(|known| known.hash != taken.hash) {
        return Err(Refusal::Altered.into());
    }
    let kept = known.as_ref().and_then(|known| known.content.clone());
    let (content, sender) = match (kept, is_own) {
        (Some(content), true) => (content, me_as_sender(me)),
        (None, true) if known.is_some() => return Ok(Opened::Forgotten),
        (None, true) => return Err(Refusal::NotOurs.into()),
        (kept, false) => match open(tx, row, taken, place, kept)? {
            Some(opened) => opened,
            None => {
                let will_ask = asking::note_missing(tx, row, taken, now)?;
                return Ok(Opened::Locked { will_ask });
            }
        },
    };
    compare(row, &content)?;
    let bound = known.as_ref().and_then(|known| known.row);
    let is_home = is_home(row.kind, content.action);
    let client = client_hash(&taken.from, &content);
    if is_home {
        refuse(bound.is_some_and(|bound| bound != row.id), Refusal::Replayed)?;
        refuse(tx.is_taken(row.id, &client)?, Refusal::RowTaken)?;
        refuse(tx.is_repeated(&client, row.id)?, Refusal::Repeated)?;
    }
    if let Some(target) = content.action.target() {
        let author = tx.author(target)?;
        let is_theirs = author.is_none_or(|author| author == content.sender.account);
        refuse(!is_theirs, Refusal::NotTheirs)?;
    }
    match &known {
        None => {
            let home = is_home.then_some(row.id);
            tx.put_place(&taken.from, place, home, &taken.hash, &content, now)?;
            tx.note_read_with(taken.session, &taken.from)?;
        }
        Some(_) if is_home && bound.is_none() => tx.bind_place(&taken.from, place, row.id)?,
        Some(_) => {}
    }
    if is_own {
        tx.posted(&content.client_message_id, content.action.target().unwrap_or(row.id))?;
    }
    let was_read = if is_own { bound.is_some() } else { known.is_some() };
    Ok(Opened::Read(Box::new(ReadRow { content, sender, place, is_own, was_read })))
}

fn refuse(is_so: bool, refusal: Refusal) -> Result<(), Refusal> {
    if is_so { Err(refusal) } else { Ok(()) }
}

fn me_as_sender(me: &Me) -> RowSender {
    let (curve25519, ed25519) = (me.keys.curve25519, me.keys.ed25519);
    RowSender { address: me.address.clone(), curve25519, ed25519, device: None }
}

/// The content of another device's row; `None` if its key is not there. `kept`
/// is what was decrypted before.
fn open(
    tx: &Tx<'_>,
    row: &Row,
    taken: &Taken,
    place: Place,
    kept: Option<Content>,
) -> Result<Option<(Content, RowSender)>, NotRead> {
    let Some(record) = tx.inbound(taken.session, &taken.from)? else { return Ok(None) };
    refuse(record.room != row.room, Refusal::OtherRoom)?;
    refuse(record.owner.account != row.sender, Refusal::OtherSender)?;
    refuse(place.index >= MAX_INDEX, Refusal::IndexTooHigh)?;
    let content = match kept {
        Some(content) => content,
        None => {
            let mut session = InboundGroupSession::from_pickle(record.session);
            let decrypted = session.decrypt(&taken.message).map_err(|error| match error {
                DecryptionError::UnknownMessageIndex(..) => Refusal::BeforeOurTime,
                _ => Refusal::Forged,
            })?;
            let plain = zeroize::Zeroizing::new(decrypted.plaintext);
            Content::decode(&plain).map_err(|_| Refusal::Malformed)?
        }
    };
    refuse(content.sender.account != row.sender, Refusal::OtherSender)?;
    refuse(content.sender != record.owner, Refusal::OtherDevice)?;
    refuse(content.epoch != record.epoch, Refusal::OtherEpoch)?;
    let device = tx.devices(record.owner.account)?.remove(&record.owner.device);
    let device = device.filter(|device| device.curve25519 == taken.from);
    let sender = RowSender {
        address: record.owner,
        curve25519: taken.from,
        ed25519: record.ed25519,
        device,
    };
    Ok(Some((content, sender)))
}
