//! What a person wants done about rooms and people.

use super::{Chat, ChatError, Message};
use crate::{
    client::{Direct, Group, Member, MemberState, Mode, Room, RoomKind},
    crypto::{AccountId, Address, PeerDevice, RoomId, SafetyNumber},
};

impl Chat {
    /// The rooms that this account is in.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn rooms(&mut self) -> Result<Vec<Room>, ChatError> {
        self.list_rooms().await?;
        Ok(self.rooms.values().cloned().collect())
    }

    /// Everybody who is in a room or invited to it.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn members(&mut self, room: RoomId) -> Result<Vec<Member>, ChatError> {
        Ok(self.client.members(room).await?)
    }

    /// The account of a name.
    ///
    /// # Errors
    ///
    /// [`ChatError::NoAccount`] if there is none.
    pub async fn account(&mut self, name: &str) -> Result<AccountId, ChatError> {
        let found = self.client.account_by_name(name).await?;
        found.ok_or_else(|| ChatError::NoAccount { name: name.to_owned() })
    }

    /// The last messages of a room that were told, the oldest first, as they
    /// are now.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub fn history(&mut self, room: RoomId, most: usize) -> Result<Vec<Message>, ChatError> {
        Ok(self.history.messages(room, most)?)
    }

    /// The encrypted direct chat with somebody: the one there is, one that they
    /// invite to, or a new one, to which they are invited. One that was with
    /// somebody else is none, whatever the server says now.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn open_direct(&mut self, account: AccountId) -> Result<RoomId, ChatError> {
        let rooms = self.rooms().await?;
        let known = self.history.rooms()?;
        let is_with = |room: &&Room| {
            let is_direct = room.kind == RoomKind::Direct && room.mode == Mode::Direct;
            let before = known.get(&room.id).and_then(|known| known.other);
            let is_other = before.is_some_and(|before| before != account);
            is_direct && !is_other && room.others.iter().any(|other| other.account == account)
        };
        if let Some(room) = rooms.iter().find(is_with) {
            self.history.note_other(room.id, account)?;
            let is_away = room
                .others
                .iter()
                .any(|other| other.account == account && other.state == MemberState::Left);
            if is_away {
                self.client.invite(room.id, account).await?;
            }
            return Ok(room.id);
        }
        let invites = self.client.invites().await?;
        if let Some(invite) = invites.iter().find(|invite| is_with(&&invite.room)) {
            self.history.note_other(invite.room.id, account)?;
            self.accept(invite.room.id).await?;
            return Ok(invite.room.id);
        }
        let made = self.client.create_direct(account, Direct::Encrypted).await?;
        self.history.note_other(made.id, account)?;
        self.list_rooms().await?;
        Ok(made.id)
    }

    /// Makes an encrypted group with this account in it.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn create_group(&mut self, name: &str) -> Result<RoomId, ChatError> {
        let made = self.client.create_group(name, Group::Encrypted).await?;
        self.list_rooms().await?;
        Ok(made.id)
    }

    /// Invites somebody to a room. They read what is written after they accept.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn invite(&mut self, room: RoomId, account: AccountId) -> Result<(), ChatError> {
        Ok(self.client.invite(room, account).await?)
    }

    /// Accepts an invitation.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn accept(&mut self, room: RoomId) -> Result<(), ChatError> {
        self.client.accept(room).await?;
        self.list_rooms().await
    }

    /// Declines an invitation.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn decline(&mut self, room: RoomId) -> Result<(), ChatError> {
        Ok(self.client.decline(room).await?)
    }

    /// Leaves a room.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn leave(&mut self, room: RoomId) -> Result<(), ChatError> {
        self.client.leave(room).await?;
        self.list_rooms().await
    }

    /// Removes somebody from a room. What is written from then on is encrypted
    /// without them.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn remove(&mut self, room: RoomId, account: AccountId) -> Result<(), ChatError> {
        Ok(self.client.remove(room, account).await?)
    }

    /// The devices of an account, as the server shows them now and as they were
    /// before.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn devices(&mut self, account: AccountId) -> Result<Vec<PeerDevice>, ChatError> {
        self.look_up(account).await?;
        Ok(self.machine.known(account)?)
    }

    /// What this account and another compare, over all devices of both as the
    /// server shows them now; `None` if the other has none.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn safety_number(
        &mut self,
        account: AccountId,
    ) -> Result<Option<SafetyNumber>, ChatError> {
        for account in [self.me.account, account] {
            self.look_up(account).await?;
        }
        Ok(self.machine.safety_number(account)?)
    }

    /// Takes the keys that the server shows for a disputed device, by the
    /// person's word. `ed25519` is what they have compared, base64; `false` if
    /// the server does not show it.
    ///
    /// # Errors
    ///
    /// See [`ChatError`].
    pub async fn accept_keys(
        &mut self,
        address: &Address,
        ed25519: &str,
    ) -> Result<bool, ChatError> {
        let Ok(key) = vodozemac::Ed25519PublicKey::from_base64(ed25519) else { return Ok(false) };
        self.look_up(address.account).await?;
        let is_accepted = self.machine.accept(address, &key)?;
        self.tell_devices(address.account)?;
        Ok(is_accepted)
    }
}
