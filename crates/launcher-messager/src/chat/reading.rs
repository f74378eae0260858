//! Rows, from the timeline to what a person is told.

use super::{
    Chat, ChatError, Entry, Happening, Mark, Message, RefusedFor, Trust, history::LockedRow,
};
use crate::{
    client::{Notice, TimelineKind, TimelineRow},
    crypto::{Action, Opened, ReadRow, RoomId, Row, RowId, RowSender},
};

/// What comes of a row, and what is noted about it.
struct Outcome {
    happening: Option<Happening>,
    message: Noted,
}

/// What is noted about a row that was told.
enum Noted {
    Nothing,
    Message(Box<Message>),
    Edit(Box<Message>),
    Delete(RowId),
}

impl Outcome {
    fn told(happening: Happening) -> Self {
        Self { happening: Some(happening), message: Noted::Nothing }
    }

    fn nothing() -> Self {
        Self { happening: None, message: Noted::Nothing }
    }
}

impl Chat {
    /// Takes in a row, from whichever answer it is. One that was told already,
    /// or is about to be, leads to nothing.
    pub(super) fn take_row(&mut self, row: TimelineRow) -> Result<(), ChatError> {
        if self.queued.contains(&row.id) || self.history.has(row.id)? {
            return Ok(());
        }
        let (id, room, created_at) = (row.id, row.room, row.created_at);
        let outcome = self.outcome(row)?;
        self.queued.insert(id);
        let mark = match outcome.message {
            Noted::Nothing => Mark::Row { id, room, created_at, message: None },
            Noted::Message(message) => Mark::Row { id, room, created_at, message: Some(message) },
            Noted::Edit(message) => Mark::Edit { id, room, created_at, message },
            Noted::Delete(target) => Mark::Delete { id, room, created_at, target },
        };
        self.queue.push_back(Entry { happening: outcome.happening, mark });
        Ok(())
    }

    fn outcome(&mut self, timeline: TimelineRow) -> Result<Outcome, ChatError> {
        let TimelineRow { id, room, sender, sender_name: name, created_at, kind } = timeline;
        let row = match kind {
            TimelineKind::Encrypted(row) => row,
            TimelineKind::Plain { .. } => {
                let why = RefusedFor::Plaintext;
                return Ok(Outcome::told(Happening::Refused { room, row: id, sender, why }));
            }
            TimelineKind::System(notice) => return self.notice(room, notice),
            TimelineKind::Other { .. } => return Ok(Outcome::nothing()),
        };
        let opened = self.machine.open_row(&row, self.now())?;
        if let Opened::Locked { .. } = opened {
            let locked = LockedRow { row, sender_name: name.clone(), created_at };
            self.history.lock(&locked)?;
            return Ok(Outcome::told(Happening::Locked { room, row: id, sender, name }));
        }
        self.opened(&row, opened, name, created_at)
    }

    /// What comes of a row that is not locked.
    fn opened(
        &mut self,
        row: &Row,
        opened: Opened,
        name: String,
        created_at: u64,
    ) -> Result<Outcome, ChatError> {
        match opened {
            Opened::Read(read) => self.read(row, *read, name, created_at),
            Opened::Refused(refusal) => {
                let why = RefusedFor::Forgery(refusal);
                let (room, sender) = (row.room, row.sender);
                Ok(Outcome::told(Happening::Refused { room, row: row.id, sender, why }))
            }
            Opened::Locked { .. } | Opened::Forgotten => Ok(Outcome::nothing()),
        }
    }

    fn read(
        &mut self,
        row: &Row,
        read: ReadRow,
        name: String,
        created_at: u64,
    ) -> Result<Outcome, ChatError> {
        let trust = self.trust(&read.sender);
        let content = read.content;
        // What is sealed proves who is in the room with this account, if it is for two.
        if content.sender.account != self.me.account {
            self.history.note_other(content.room, content.sender.account)?;
        }
        let message = |row: RowId, is_edited: bool| Message {
            room: content.room,
            row,
            sender: content.sender.account,
            name: name.clone(),
            device: content.sender.device.clone(),
            text: content.body.text.clone(),
            reply_to: content.body.reply_to,
            sent: content.sent,
            created_at,
            is_own: content.sender.account == self.me.account,
            is_edited,
            trust,
        };
        Ok(match content.action {
            Action::New => {
                let message = message(row.id, false);
                let noted = Noted::Message(Box::new(message.clone()));
                Outcome { happening: Some(Happening::Message(message)), message: noted }
            }
            // The message's own row, with its last edit.
            Action::Edit { target } if target == row.id => {
                let message = message(target, true);
                let noted = Noted::Message(Box::new(message.clone()));
                Outcome { happening: Some(Happening::Message(message)), message: noted }
            }
            Action::Edit { target } => {
                let mut edited = message(target, true);
                if let Some(before) = self.before(target)? {
                    if before.is_edited && before.text == edited.text {
                        return Ok(Outcome::nothing());
                    }
                    edited.created_at = before.created_at;
                    edited.reply_to = edited.reply_to.or(before.reply_to);
                }
                let noted = Noted::Edit(Box::new(edited.clone()));
                Outcome { happening: Some(Happening::Edited(edited)), message: noted }
            }
            Action::Delete { target } => {
                let by = content.sender.account;
                let happening = Happening::Deleted { room: row.room, row: target, by };
                Outcome { happening: Some(happening), message: Noted::Delete(target) }
            }
        })
    }

    /// What a message says, as it was told or is about to be.
    fn before(&self, target: RowId) -> Result<Option<Message>, ChatError> {
        let queued = self.queue.iter().rev().find_map(|entry| match &entry.mark {
            Mark::Row { id, message: Some(message), .. }
            | Mark::Unlocked { id, message: Some(message), .. }
                if *id == target =>
            {
                Some((**message).clone())
            }
            Mark::Edit { message, .. } if message.row == target => Some((**message).clone()),
            _ => None,
        });
        match queued {
            Some(message) => Ok(Some(message)),
            None => Ok(self.history.message(target)?),
        }
    }

    fn trust(&self, sender: &RowSender) -> Trust {
        match &sender.device {
            _ if sender.address == *self.machine.address() => Trust::Own,
            None => Trust::Disputed,
            Some(device) if device.is_disputed() => Trust::Disputed,
            Some(device) if device.gone.is_some() => Trust::Gone,
            Some(device) if device.late => Trust::Late,
            Some(_) => Trust::FirstSeen,
        }
    }

    fn notice(&mut self, room: RoomId, notice: Notice) -> Result<Outcome, ChatError> {
        Ok(match notice {
            // Which rooms this account is in says the list of them.
            Notice::Joined { account } | Notice::Left { account, .. }
                if account == self.me.account =>
            {
                Outcome::nothing()
            }
            Notice::Joined { account } => Outcome::told(Happening::Joined { room, account }),
            Notice::Left { account, by } => Outcome::told(Happening::Left { room, account, by }),
            Notice::EncryptionEnabled => Outcome::told(Happening::Encrypted { room }),
            Notice::RotateRequired => {
                self.machine.rotate(room)?;
                Outcome::nothing()
            }
            Notice::Other { .. } => Outcome::nothing(),
        })
    }

    /// Opens the rows whose key was missing, of one room or of all.
    pub(super) fn open_locked(&mut self, room: Option<RoomId>) -> Result<(), ChatError> {
        for id in self.history.locked(room)? {
            let is_done = |entry: &Entry| match &entry.mark {
                Mark::Unlocked { id: done, .. }
                | Mark::Edit { id: done, .. }
                | Mark::Delete { id: done, .. } => *done == id,
                Mark::Nothing | Mark::Row { .. } | Mark::Member { .. } | Mark::Device { .. } => {
                    false
                }
            };
            if self.queue.iter().any(is_done) {
                continue;
            }
            let Some(locked) = self.history.locked_row(id)? else { continue };
            let LockedRow { row, sender_name, created_at } = locked;
            let opened = self.machine.open_row(&row, self.now())?;
            if matches!(opened, Opened::Locked { .. }) {
                continue;
            }
            let outcome = self.opened(&row, opened, sender_name, created_at)?;
            let room = row.room;
            let mark = match outcome.message {
                Noted::Nothing => Mark::Unlocked { id, room, created_at, message: None },
                Noted::Message(message) => {
                    Mark::Unlocked { id, room, created_at, message: Some(message) }
                }
                Noted::Edit(message) => Mark::Edit { id, room, created_at, message },
                Noted::Delete(target) => Mark::Delete { id, room, created_at, target },
            };
            self.queue.push_back(Entry { happening: outcome.happening, mark });
        }
        Ok(())
    }

    /// Notes what was told.
    pub(super) fn note(&mut self, mark: Mark) -> Result<(), ChatError> {
        let now = self.now();
        match mark {
            Mark::Nothing => {}
            Mark::Row { id, room, created_at, message } => {
                self.history.handed_out((id, room, created_at), message.as_deref(), now)?;
                self.queued.remove(&id);
            }
            Mark::Unlocked { id, room, created_at, message } => {
                self.history.handed_out((id, room, created_at), message.as_deref(), now)?;
                self.history.unlocked(id)?;
            }
            Mark::Edit { id, room, created_at, message } => {
                self.history.change(&message)?;
                self.history.handed_out((id, room, created_at), None, now)?;
                self.history.unlocked(id)?;
                self.queued.remove(&id);
            }
            Mark::Delete { id, room, created_at, target } => {
                self.history.erase(target)?;
                self.history.handed_out((id, room, created_at), None, now)?;
                self.history.unlocked(id)?;
                self.queued.remove(&id);
            }
            Mark::Member { room, is_member } => self.history.note_member(room, is_member)?,
            Mark::Device { address, state } => {
                self.history.note_told(&address, &state)?;
                if self.telling.get(&address) == Some(&state) {
                    self.telling.remove(&address);
                }
            }
        }
        Ok(())
    }
}
