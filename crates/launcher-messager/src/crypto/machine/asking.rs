//! Keys that are missing: asking for them, and being asked.
//!
//! Only the device whose session it is is asked, and it gives the key only to
//! those whom the session was made for. Nobody hands on the key of another's
//! session.

use vodozemac::megolm::SessionKey;

use super::{Machine, Me, delivering::MEND_PAUSE, pairing, sending::LIST_AGE};
use crate::{
    crypto::{
        AccountId, EnvelopeKind, PeerDevice, RoomId, Row, SessionId, Withheld, parcel::Goods,
        row::Taken,
    },
    store::{AskRow, Limits, MissingRow, OutgoingRow, StoreError, Tx},
};

/// Keys usually arrive within this time, in milliseconds; only then is asked.
const GRACE: u64 = 10 * 1000;

/// How long to wait after each time of asking, in milliseconds.
const PAUSES: [u64; 3] = [5 * 60 * 1000, 60 * 60 * 1000, 60 * 60 * 1000];

/// The longest of them.
const LONGEST_PAUSE: u64 = 60 * 60 * 1000;

/// How often a session is asked for.
const TIMES: u32 = 3;

/// As many sessions are asked for of one account at a time, and as many are
/// remembered of it and in all, with those that are asked for no more. Members
/// and the server can invent rows without end.
const LIMITS: Limits =
    Limits { asked_of_account: 20, remembered_of_account: 200, remembered: 2000 };

/// A device that asks for the key of a session that was made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The device.
    pub from: PeerDevice,
    /// The session's room.
    pub room: RoomId,
    /// The session.
    pub session: SessionId,
}

/// What the trust policy says to an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It gets the key once more.
    Share,
    /// It does not any more.
    Withhold(Withheld),
}

impl Machine {
    /// Devices that wait for a key. All of them were meant to have it when the
    /// session was made; whether they still are is for the trust policy.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn asks(&mut self) -> Result<Vec<Ask>, StoreError> {
        self.store.read(|tx| {
            let mut asks = Vec::new();
            for AskRow { session, from, room } in tx.asks()? {
                if let Some(from) = tx.devices(from.account)?.remove(&from.device) {
                    asks.push(Ask { from, room, session });
                }
            }
            Ok(asks)
        })
    }

    /// Answers an ask; the answer is then among [`Machine::work`]. Answering
    /// twice does nothing more.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn answer(&mut self, ask: &Ask, answer: Answer) -> Result<(), StoreError> {
        let me = &self.me;
        self.store.write(|tx| reply(tx, me, ask, answer))
    }
}

fn reply(tx: &Tx<'_>, me: &Me, ask: &Ask, answer: Answer) -> Result<(), StoreError> {
    let (session, room) = (ask.session, ask.room);
    let row = AskRow { session, from: ask.from.address.clone(), room };
    if !tx.set_pending(&row, false)? {
        return Ok(());
    }
    let Some((sent, _)) = tx.sent(session)? else { return Ok(()) };
    let Some(device) = tx.devices(row.from.account)?.remove(&row.from.device) else {
        return Ok(());
    };
    let is_entitled = device.is_present()
        && device.keys() == ask.from.keys()
        && sent.circle.devices.get(&device.address) == Some(&device.keys());
    let key = SessionKey::from_base64(&sent.key.0)
        .map_err(|_| StoreError::damaged("the table of sessions"))?;
    let (kind, goods) = match answer {
        Answer::Share if is_entitled => {
            (EnvelopeKind::SenderKey, Goods::Key { room, epoch: sent.epoch, key: Box::new(key) })
        }
        Answer::Share => {
            let reason = Withheld::NotEntitled;
            (EnvelopeKind::Control, Goods::KeyWithheld { room, session, reason })
        }
        Answer::Withhold(reason) => {
            (EnvelopeKind::Control, Goods::KeyWithheld { room, session, reason })
        }
    };
    let Some(ciphertext) = pairing::pack(tx, me, &device, goods)? else { return Ok(()) };
    let group = (kind == EnvelopeKind::SenderKey).then_some(room);
    let client = format!("k:{session}:{}", tx.times_asked(&row)?);
    // It belongs to no message that waits to be sent, so it is not under its session's name.
    tx.put_outgoing(&OutgoingRow {
        number: 0,
        to: device.address,
        kind,
        room: group,
        session: None,
        client,
        ciphertext,
    })
}

/// Notes that a row's key is missing; `false` if too many are.
pub(super) fn note_missing(
    tx: &Tx<'_>,
    row: &Row,
    taken: &Taken,
    now: u64,
) -> Result<bool, StoreError> {
    let missing = MissingRow {
        session: taken.session,
        sender: taken.from,
        room: row.room,
        account: row.sender,
        asked: 0,
    };
    tx.note_missing(&missing, LIMITS, TIMES, now, now.saturating_add(GRACE))
}

/// A device asks for a session. Whether it waits for an answer now.
pub(super) fn asked(
    tx: &Tx<'_>,
    me: &Me,
    from: &PeerDevice,
    room: RoomId,
    session: SessionId,
) -> Result<bool, StoreError> {
    let Some((sent, _)) = tx.sent(session)? else { return Ok(false) };
    let ask = AskRow { session, from: from.address.clone(), room };
    if sent.room != room || tx.note_ask(&ask)? > TIMES {
        return Ok(false);
    }
    if from.is_present() && sent.circle.devices.get(&from.address) == Some(&from.keys()) {
        tx.set_pending(&ask, true)?;
        return Ok(true);
    }
    let reason = Withheld::NotEntitled;
    let client = format!("w:{session}:{}", tx.times_asked(&ask)?);
    pairing::control(tx, me, from, Goods::KeyWithheld { room, session, reason }, client)?;
    Ok(false)
}

/// Nobody is asked for the session any more.
pub(super) fn give_up(
    tx: &Tx<'_>,
    from: &PeerDevice,
    session: SessionId,
) -> Result<(), StoreError> {
    let missing = MissingRow {
        session,
        sender: from.curve25519,
        room: RoomId::from_bytes([0; 16]),
        account: from.address.account,
        asked: TIMES,
    };
    tx.note_asked(&missing, TIMES, u64::MAX)
}

/// Lines up what is to be asked for now. Returns the accounts to look up, and
/// those of which keys are to be claimed, before anybody can be asked.
pub(super) fn ask_for_missing(
    tx: &Tx<'_>,
    me: &Me,
    now: u64,
) -> Result<(Vec<AccountId>, Vec<AccountId>), StoreError> {
    let (mut look_up, mut claim) = (Vec::new(), Vec::new());
    for missing in tx.missing(now, LONGEST_PAUSE, TIMES)? {
        let MissingRow { session, room, account, asked, .. } = missing;
        let device = tx.device_with(account, &missing.sender)?;
        let is_done = match &device {
            Some(device) if device.is_present() => {
                let goods = Goods::KeyMissing { room, session };
                let is_asked =
                    pairing::control(tx, me, device, goods, format!("m:{session}:{asked}"))?;
                let unreachable = tx.peer(&device.peer_key())?.unreachable;
                let is_given_up = unreachable != 0 && now.abs_diff(unreachable) < MEND_PAUSE;
                if !is_asked && !is_given_up {
                    claim.push(account);
                }
                is_asked || is_given_up
            }
            Some(_) => true,
            None => {
                let record = tx.account(account)?;
                let is_fresh =
                    record.is_some_and(|record| now.abs_diff(record.fetched) <= LIST_AGE);
                if !is_fresh {
                    look_up.push(account);
                }
                is_fresh
            }
        };
        if is_done {
            let pause = PAUSES.get(usize::try_from(asked).unwrap_or(usize::MAX));
            let next = now.saturating_add(pause.copied().unwrap_or(u64::MAX));
            tx.note_asked(&missing, asked.saturating_add(1), next)?;
        }
    }
    look_up.sort();
    look_up.dedup();
    Ok((look_up, claim))
}
