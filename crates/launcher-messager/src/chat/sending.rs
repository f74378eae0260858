//! Messages on their way to the server.
//!
//! A message is on the disk before anything is done about it, and keeps its
//! name for every attempt, in whichever life: the server takes it once.

use std::collections::BTreeSet;

use uuid::Builder;

use super::{Chat, ChatError, Happening};
use crate::{
    client::{MemberState, Mode},
    crypto::{AccountId, Action, Audience, Body, Draft, RoomId, RowId, SendError, Step},
};

/// How many steps a message may take. Each leads to the next unless devices
/// change all the time.
const STEPS: usize = 40;

impl Chat {
    /// Says something. Returns when the server has it.
    ///
    /// # Errors
    ///
    /// With [`ChatError::Kept`] it is kept and sent when the server is there, in
    /// order, by [`next`](Self::next); so it is when the token or the files are
    /// at fault. If the message itself is, or the room, it is given up.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the message to [`next`](Self::next).
    pub async fn send(
        &mut self,
        room: RoomId,
        text: &str,
        reply_to: Option<RowId>,
    ) -> Result<RowId, ChatError> {
        let body = Body { text: text.to_owned(), reply_to, ..Body::default() };
        self.post(room, Action::New, body).await
    }

    /// Says something else in a message of this account.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); the server refuses it for messages of others.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn edit(
        &mut self,
        room: RoomId,
        message: RowId,
        text: &str,
    ) -> Result<(), ChatError> {
        let reply_to = self.history.message(message)?.and_then(|before| before.reply_to);
        let body = Body { text: text.to_owned(), reply_to, ..Body::default() };
        self.post(room, Action::Edit { target: message }, body).await.map(drop)
    }

    /// Takes a message of this account back.
    ///
    /// # Errors
    ///
    /// As [`edit`](Self::edit).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn delete(&mut self, room: RoomId, message: RowId) -> Result<(), ChatError> {
        self.post(room, Action::Delete { target: message }, Body::default()).await.map(drop)
    }

    async fn post(&mut self, room: RoomId, action: Action, body: Body) -> Result<RowId, ChatError> {
        if !body.fits() {
            return Err(SendError::TooLong.into());
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let client_message_id = Builder::from_random_bytes(random).into_uuid().to_string();
        let draft = Draft { room, client_message_id, action, body };
        self.history.put_draft(&draft)?;
        for earlier in self.history.drafts()? {
            if earlier.client_message_id == draft.client_message_id {
                break;
            }
            match self.send_draft(earlier).await {
                Err(ChatError::Client(error)) => return Err(ChatError::Kept(error)),
                outcome => outcome?,
            }
        }
        match self.drive(&draft).await {
            Err(ChatError::Client(error)) if error.is_passing() => Err(ChatError::Kept(error)),
            Err(error) if !is_about_message(&error) => Err(error),
            outcome => {
                self.history.drop_draft(&draft.client_message_id)?;
                outcome
            }
        }
    }

    /// Sends what was kept, in order.
    pub(super) async fn send_drafts(&mut self) -> Result<(), ChatError> {
        for draft in self.history.drafts()? {
            self.send_draft(draft).await?;
        }
        Ok(())
    }

    /// Sends one that was kept; an error is a passing one.
    async fn send_draft(&mut self, draft: Draft) -> Result<(), ChatError> {
        match self.drive(&draft).await {
            Ok(_) => {}
            Err(error) if error.is_passing() || !is_about_message(&error) => return Err(error),
            Err(error) => {
                let (room, text) = (draft.room, draft.body.text.clone());
                self.tell(Happening::Unsent { room, text, why: error.to_string() });
            }
        }
        Ok(self.history.drop_draft(&draft.client_message_id)?)
    }

    /// Does what is to be done for a message until the server has it.
    async fn drive(&mut self, draft: &Draft) -> Result<RowId, ChatError> {
        for _ in 0..STEPS {
            let audience = self.audience(draft.room).await?;
            match self.machine.send(draft, &audience, self.now())? {
                Step::LookUp(accounts) => {
                    for account in accounts {
                        self.look_up(account).await?;
                    }
                }
                Step::Claim(accounts) => {
                    for account in accounts {
                        self.claim(account).await?;
                    }
                }
                Step::Deliver(fanouts) => self.deliver(&fanouts).await?,
                Step::Post(sealed) => {
                    let row = self.client.post(&sealed).await?;
                    self.machine.posted(&draft.client_message_id, row)?;
                }
                Step::Posted(row) => return Ok(row),
            }
        }
        Err(ChatError::Restless { room: draft.room })
    }

    /// Who is to be able to read what is said in a room now.
    async fn audience(&mut self, room: RoomId) -> Result<Audience, ChatError> {
        let found = self.client.room(room).await?.ok_or(ChatError::NoRoom { room })?;
        let before = self.history.rooms()?.get(&room).and_then(|known| known.mode);
        match (before, found.mode) {
            (Some(before), now) if before != now => return Err(ChatError::Downgraded { room }),
            (_, Mode::Direct | Mode::SenderKeys) => self.history.note_mode(room, found.mode)?,
            (_, Mode::Plain | Mode::Unknown(_)) => return Err(ChatError::NotEncrypted { room }),
        }
        let members = self.client.members(room).await?.into_iter();
        let active = members.filter(|member| member.state == MemberState::Active);
        let members: BTreeSet<AccountId> = active.map(|member| member.account).collect();
        let is_direct = found.mode == Mode::Direct;
        let mut others = members.iter().filter(|account| **account != self.me.account);
        if let (true, Some(other), None) = (is_direct, others.next(), others.next()) {
            self.history.note_other(room, *other)?;
        }
        let other = self.history.rooms()?.get(&room).and_then(|known| known.other);
        Ok(Audience { members, is_direct, other, ..Audience::default() })
    }
}

/// Whether an error says something about the message, and not about the token
/// or the files.
fn is_about_message(error: &ChatError) -> bool {
    match error {
        ChatError::Client(error) => matches!(error, crate::client::ClientError::Refused { .. }),
        ChatError::NotEncrypted { .. }
        | ChatError::Downgraded { .. }
        | ChatError::NoRoom { .. }
        | ChatError::NoAccount { .. } => true,
        ChatError::Send(error) => !matches!(error, SendError::Store(_)),
        ChatError::Store(_)
        | ChatError::History(_)
        | ChatError::InUse { .. }
        | ChatError::Folder(_)
        | ChatError::OtherKeys
        | ChatError::Copied
        | ChatError::Kept(_)
        | ChatError::Restless { .. }
        | ChatError::Random(_) => false,
    }
}
