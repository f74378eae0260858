//! What one row of a timeline comes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use launcher_core::{
    fault::Fault,
    names::EventId,
    trust::{Assurance, Refusal},
    undecryptable::Cause,
};
use launcher_runtime::{
    ports::journal::{Heard, Intake, Locked, Stamp},
    stamp,
};
use tracing::{debug, info, warn};

use super::{MessagerSession, Reading, locked};
use crate::{
    client::{ClientError, Notice, TimelineKind, TimelineRow},
    crypto::{AccountId, Opened, ReadRow, Refusal as RowRefusal, RoomId, Row, RowId},
    faults, kept, locked as waiting,
    message::{self, Around},
    names,
};

/// What a reading has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) intake: Intake,
    /// Rows that need not wait any longer.
    pub(super) gone: Vec<EventId>,
    /// Rooms that somebody left.
    pub(super) left: BTreeSet<RoomId>,
    /// Rooms that are encrypted, and that the journal does not know as such.
    pub(super) encrypted: BTreeSet<RoomId>,
    /// Who came into which room.
    pub(super) joined: Vec<(RoomId, AccountId)>,
}

/// The rows without those from before the agent came into their rooms: they
/// are for others, and no key of theirs will ever come.
pub(super) fn since_joined(rows: Vec<TimelineRow>, own: AccountId) -> Vec<TimelineRow> {
    let mut joined = BTreeMap::new();
    for row in &rows {
        if matches!(&row.kind, TimelineKind::System(Notice::Joined { account }) if *account == own)
        {
            joined.insert(row.room, row.created_at);
        }
    }
    let is_since = |row: &TimelineRow| joined.get(&row.room).is_none_or(|at| row.created_at >= *at);
    rows.into_iter().filter(is_since).collect()
}

impl MessagerSession {
    /// Takes one row in.
    pub(super) async fn take_row(
        &self,
        row: TimelineRow,
        reading: &Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        match row.kind {
            TimelineKind::Encrypted(sealed) => {
                self.see_encrypted(sealed.room, found).await?;
                self.take_sealed(&sealed, Stamp(row.created_at), reading, found).await
            }
            TimelineKind::System(ref notice) => {
                self.take_notice(&row, notice, reading, found).await
            }
            TimelineKind::Plain { text, is_automated } => {
                let about = (row.id, row.sender, Stamp(row.created_at));
                self.take_plain(row.room, about, (text, is_automated), found).await
            }
            TimelineKind::Other { name } => {
                debug!(room = %row.room, name, "a row of no concern");
                Ok(())
            }
        }
    }

    /// Has it noted that a room is encrypted, together with the rows that say so.
    async fn see_encrypted(&self, room: RoomId, found: &mut Found) -> Result<(), Fault> {
        locked(&self.encrypted).insert(room);
        if !self.parts.journal.was_encrypted(&names::room(room)).await? {
            found.encrypted.insert(room);
        }
        Ok(())
    }

    async fn take_sealed(
        &self,
        row: &Row,
        sent: Stamp,
        reading: &Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        match self.open(row).await? {
            Opened::Read(read) if read.is_own => {}
            Opened::Read(read) => match self.ledger.judge_row(&read.sender).await? {
                Ok(assurance) => {
                    self.parts.report.decrypted();
                    found.intake.heard.push(self.heard(row, &read, sent, assurance).await?);
                }
                Err(refusal) => self.refuse(row, sent, refusal, reading, found),
            },
            // What another device of the account wrote is not for this one.
            Opened::Locked { .. } if row.sender == self.address.account => {
                debug!(event_id = %row.id, "a row of the agent's own account has no key here");
            }
            Opened::Locked { will_ask } => {
                let locked = self.lock(row, sent, Cause::UnknownSession);
                warn!(
                    event = "undecryptable",
                    room = %locked.room,
                    event_id = %locked.event,
                    session_id = locked.session,
                    reason = %locked.cause,
                    will_ask,
                    "a message cannot be decrypted"
                );
                self.parts.report.count_undecryptable(locked.cause.code());
                match reading.waiting.is_full(&locked.sender, &locked.cause) {
                    // Its key does not bring it back: so many wait only in a flood.
                    true => warn!(event_id = %locked.event, "it is not kept: too many wait"),
                    false => found.intake.locked.push((locked, kept::write(row))),
                }
            }
            Opened::Forgotten => debug!(event_id = %row.id, "a row was read long ago"),
            Opened::Refused(refusal) => self.say_refused(row, refusal),
        }
        Ok(())
    }

    /// Opens a row. One with this device's key that this device never wrote
    /// ends the session: a copy of it is running, or this is one.
    pub(super) async fn open(&self, row: &Row) -> Result<Opened, Fault> {
        let copy = row.clone();
        let opened =
            self.parts.engine.ask(move |machine| machine.open_row(&copy, stamp().0)).await?;
        let is_foreign = matches!(opened, Opened::Refused(RowRefusal::NotOurs));
        if is_foreign && row.sender == self.address.account {
            let fault = faults::cloned(&self.parts.spec);
            self.note_broken(fault.clone());
            return Err(fault);
        }
        Ok(opened)
    }

    /// A row that was read and is to be acted upon.
    pub(super) async fn heard(
        &self,
        row: &Row,
        read: &ReadRow,
        sent: Stamp,
        assurance: Assurance,
    ) -> Result<Heard, Fault> {
        let direct = self.is_direct(row.room, row.sender, true).await?;
        let around = Around { age: self.age(sent), direct, assurance };
        Ok(message::heard(row, read, around))
    }

    fn age(&self, sent: Stamp) -> Duration {
        self.server_now().since(sent)
    }

    /// Whether nobody but the sender and the agent is in a room. A row that was
    /// sealed proves who the sender is.
    async fn is_direct(
        &self,
        room: RoomId,
        sender: AccountId,
        is_sealed: bool,
    ) -> Result<bool, Fault> {
        let expected = BTreeSet::from([self.address.account, sender]);
        match self.book.recall(&self.parts.client, room).await {
            Ok(known) => {
                // Before anything is answered: what it is said to be then may be another thing.
                self.first_seen(room, known.mode, is_sealed.then_some(sender)).await?;
                Ok(known.active == expected)
            }
            // The agent is not in it any more: it does not matter.
            Err(ClientError::Refused { .. }) => Ok(false),
            Err(ClientError::Nonsense { detail }) => {
                warn!(%room, detail, "the server says nothing of use about a room; it counts as a group");
                Ok(false)
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// A message whose sender is not trusted. It is kept if a word of the
    /// operator's can change that.
    fn refuse(
        &self,
        row: &Row,
        sent: Stamp,
        refusal: Refusal,
        reading: &Reading,
        found: &mut Found,
    ) {
        let locked = self.lock(row, sent, Cause::SenderNotTrusted(refusal));
        warn!(
            event = "message_refused",
            room = %locked.room,
            event_id = %locked.event,
            user = %locked.sender,
            code = refusal.code(),
            reason = %refusal,
            "a message is not acted upon"
        );
        if refusal.can_heal() && !reading.waiting.is_full(&locked.sender, &locked.cause) {
            found.intake.locked.push((locked, kept::write(row)));
        }
    }

    fn lock(&self, row: &Row, sent: Stamp, cause: Cause) -> Locked {
        let now = stamp();
        let mut locked = Locked {
            event: names::event(row.id),
            room: names::room(row.room),
            sender: names::user(row.sender),
            session: row.session().map(|session| session.to_string()),
            cause,
            sent,
            first_seen: now,
            tries: 0,
            next_try: now,
            noticed: false,
        };
        locked.next_try = waiting::next_try(&locked, self.parts.spec.catch_up.max_age, now);
        locked
    }

    pub(super) fn say_refused(&self, row: &Row, refusal: RowRefusal) {
        let is_repeated = matches!(
            refusal,
            RowRefusal::Replayed
                | RowRefusal::Repeated
                | RowRefusal::RowTaken
                | RowRefusal::Altered
        );
        let event = if is_repeated { "duplicate_ignored" } else { "message_refused" };
        warn!(
            event,
            room = %row.room,
            event_id = %row.id,
            user = %row.sender,
            code = refusal.code(),
            "a row is not what the server says; it is not acted upon"
        );
    }

    async fn take_plain(
        &self,
        room: RoomId,
        (id, sender, sent): (RowId, AccountId, Stamp),
        said: (String, bool),
        found: &mut Found,
    ) -> Result<(), Fault> {
        if sender == self.address.account {
            return Ok(());
        }
        let is_encrypted = self.was_encrypted(room).await? || self.is_encrypted_now(room).await?;
        let judged = match is_encrypted {
            true => Err(Refusal::InTheClear),
            false => self.ledger.judge_plain(sender).await?,
        };
        match judged {
            Ok(assurance) => {
                let direct = self.is_direct(room, sender, false).await?;
                let around = Around { age: self.age(sent), direct, assurance };
                found.intake.heard.push(message::plain(room, id, sender, said, around));
            }
            Err(refusal) => {
                warn!(
                    event = "message_refused",
                    %room,
                    event_id = %id,
                    user = %sender,
                    code = refusal.code(),
                    reason = %refusal,
                    "a message is not acted upon"
                );
            }
        }
        Ok(())
    }

    /// Whether the server says so now. A room about which it says nothing of use counts as one.
    async fn is_encrypted_now(&self, room: RoomId) -> Result<bool, Fault> {
        match self.book.recall(&self.parts.client, room).await {
            Ok(known) => Ok(known.mode.is_encrypted()),
            Err(ClientError::Refused { .. } | ClientError::Nonsense { .. }) => Ok(true),
            Err(error) => Err(self.fault(&error)),
        }
    }

    async fn take_notice(
        &self,
        row: &TimelineRow,
        notice: &Notice,
        reading: &Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        let room = row.room;
        self.book.forget(room);
        match notice {
            Notice::Joined { account } if *account == self.address.account => {
                // What an earlier page brought from before that.
                let (id, joined) = (names::room(room), Stamp(row.created_at));
                found.gone.extend(reading.waiting.before(&id, joined));
            }
            Notice::Joined { account } => found.joined.push((room, *account)),
            Notice::Left { .. } => {
                found.left.insert(room);
            }
            Notice::EncryptionEnabled => {
                info!(%room, "the room is encrypted from now on");
                self.see_encrypted(room, found).await?;
            }
            Notice::RotateRequired => {
                self.parts.engine.ask(move |machine| machine.rotate(room)).await?;
            }
            Notice::Other { .. } => {}
        }
        Ok(())
    }
}
