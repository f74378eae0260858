//! Direct chats that an operator wants, and the greetings in them.
//!
//! The server keeps one encrypted chat for two people, so however often one is
//! asked for, there is one. Who is only invited gets no keys: the greeting is
//! said when they have joined.

use std::collections::BTreeSet;

use launcher_core::{
    fault::Fault,
    greeting::{Greeting, Membership, Said},
    names::{DeviceId, EventId, UserId},
    secret::Secret,
};
use launcher_runtime::ports::{
    Notice, NoticeKind,
    rooms::{Direct, RoomsError},
};
use tracing::{info, warn};

use super::{MessagerSession, modes::First, rooms::refused};
use crate::{
    client::{self, ClientError, MemberState, Mode, Room, RoomKind},
    crypto::{AccountId, RoomId},
    ledger::Devices,
    names,
};

impl MessagerSession {
    /// See [`Rooms::open_direct`](launcher_runtime::ports::rooms::Rooms::open_direct).
    pub(super) async fn open_direct_chat(
        &self,
        user: &UserId,
        text: Option<&str>,
    ) -> Result<Direct, RoomsError> {
        let account = self.partner(user).await?;
        let user = names::user(account);
        // One at a time: what two of them note would be mixed up.
        let _alone = self.making.lock().await;
        let mut greeting = self.greeting_of(&user).await?.unwrap_or_else(|| {
            let name = &self.parts.me.name;
            Greeting::new(user.clone(), format!("Hello, I am {name}. Write me here."))
        });
        if let Some(text) = text {
            greeting.set_text(text.to_owned());
        }
        let (room, made) = match self.find_chat(account).await? {
            Some(room) => (room, false),
            None => (self.make_chat(account).await?, true),
        };
        greeting.set_room(names::room(room));
        self.parts.journal.keep_greeting(&greeting).await?;
        self.note_encrypted(room, Mode::Direct, Some(account)).await?;
        let membership = self.invite_again(account, room).await?;
        let devices = self.fresh_devices(account).await?;
        if let Some(notice) = due(&greeting, membership, &devices) {
            if let Err(error) = self.send_note(&notice).await {
                warn!(%room, %error, "greeting somebody failed; it is tried when they write or at the next start");
            }
            greeting = self.greeting_of(&user).await?.unwrap_or(greeting);
        }
        Ok(Direct { made, ..self.describe(&greeting, membership, devices) })
    }

    /// See [`Rooms::direct`](launcher_runtime::ports::rooms::Rooms::direct).
    pub(super) async fn direct_chat(&self, user: &UserId) -> Result<Direct, RoomsError> {
        let account = self.partner(user).await?;
        let user = names::user(account);
        let greeting = self.greeting_of(&user).await?.ok_or_else(|| {
            refused(
                format!("no direct chat with {user} was asked for"),
                format!("`launcher invites {} dm {user}`", self.parts.spec.id),
            )
        })?;
        let room = greeting.room.as_ref().and_then(names::room_of);
        let membership = match room {
            Some(room) => self.membership(account, room).await?,
            None => Membership::Absent,
        };
        let devices = self.ledger.devices_of(account).await?;
        Ok(self.describe(&greeting, membership, devices))
    }

    /// What is to be said to those who came into their chats; without a reading
    /// before, to everybody who waits.
    pub(super) async fn due_greetings(
        &self,
        joined: &[(RoomId, AccountId)],
        is_begun: bool,
    ) -> Result<Vec<Notice>, Fault> {
        if joined.is_empty() && is_begun {
            return Ok(Vec::new());
        }
        let mut notices = Vec::new();
        for greeting in self.parts.journal.greetings().await? {
            let account = names::account_of(&greeting.user);
            let room = greeting.room.as_ref().and_then(names::room_of);
            let (Some(account), Some(room)) = (account, room) else { continue };
            if greeting.settled || (is_begun && !joined.contains(&(room, account))) {
                continue;
            }
            let membership = match self.membership(account, room).await {
                Ok(membership) => membership,
                Err(RoomsError::Fault(fault)) => return Err(fault),
                Err(RoomsError::Refused { .. }) => continue,
            };
            if membership == Membership::Joined {
                self.look_up(account).await?;
                let devices = self.ledger.devices_of(account).await?;
                notices.extend(due(&greeting, membership, &devices));
            }
        }
        Ok(notices)
    }

    /// The event of a greeting that was said meanwhile: an operator and the
    /// room's line may both be about to say it.
    pub(super) async fn said_already(&self, notice: &Notice) -> Result<Option<EventId>, Fault> {
        let NoticeKind::Greeting { .. } = notice.kind else { return Ok(None) };
        let Some(greeting) = self.greeting_of(&notice.sender).await? else { return Ok(None) };
        let said = greeting.said.into_iter().find(|said| said.transaction == notice.transaction);
        Ok(said.map(|said| said.event))
    }

    /// Writes down that a greeting was said, and who got its key.
    pub(super) async fn greeted(&self, notice: &Notice, event: &EventId) -> Result<(), Fault> {
        let user = &notice.sender;
        let Some(mut greeting) = self.greeting_of(user).await? else { return Ok(()) };
        let Some(account) = names::account_of(user) else { return Ok(()) };
        let reached = ids(&self.ledger.devices_of(account).await?);
        info!(room = %notice.room, %user, event_id = %event, devices = reached.len(), "greeted somebody");
        let transaction = notice.transaction.clone();
        let tried = reached.clone();
        greeting.note(Said { transaction, event: event.clone(), tried, reached: reached.clone() });
        greeting.settled = greeting.is_over(Membership::Joined, &reached);
        self.parts.journal.keep_greeting(&greeting).await
    }

    async fn greeting_of(&self, user: &UserId) -> Result<Option<Greeting>, Fault> {
        let all = self.parts.journal.greetings().await?;
        Ok(all.into_iter().find(|greeting| greeting.user == *user))
    }

    /// The account that is meant, by its id or its name.
    async fn partner(&self, user: &UserId) -> Result<AccountId, RoomsError> {
        let account = match names::account_of(user) {
            Some(account) => account,
            None => {
                let name = user.as_str().trim_start_matches('@');
                let found = self.parts.client.account_by_name(name).await;
                found.map_err(|error| self.rooms_error("look for an account", &error))?.ok_or_else(
                    || refused(format!("there is no account {user}"), "look at its name or id"),
                )?
            }
        };
        match account == self.address.account {
            true => Err(refused("that is the agent itself", "name somebody else")),
            false => Ok(account),
        }
    }

    /// The encrypted direct chat with an account, if the agent is in it. One that
    /// was with somebody else is not, whatever the server says now; one that was
    /// with nobody yet is with them from now on.
    pub(super) async fn find_chat(&self, account: AccountId) -> Result<Option<RoomId>, RoomsError> {
        let rooms = self.parts.client.rooms().await;
        let rooms = rooms.map_err(|error| self.rooms_error("list its rooms", &error))?;
        let is_it = |room: &&Room| {
            let is_with = room.others.iter().any(|member| member.account == account);
            room.kind == RoomKind::Direct && room.mode == Mode::Direct && is_with
        };
        let found: BTreeSet<RoomId> = rooms.iter().filter(is_it).map(|room| room.id).collect();
        for room in found {
            let first = self.first_seen(room, Mode::Direct, Some(account)).await?;
            if first == (First { mode: Mode::Direct, other: Some(account) }) {
                return Ok(Some(room));
            }
        }
        Ok(None)
    }

    async fn make_chat(&self, account: AccountId) -> Result<RoomId, RoomsError> {
        match self.parts.client.create_direct(account, client::Direct::Encrypted).await {
            Ok(room) => {
                info!(room = %room.id, user = %account, "made a direct chat, as an operator wanted");
                Ok(room.id)
            }
            // There is one, which the agent left or was only invited to.
            Err(error @ ClientError::Refused { status: 400, .. }) => {
                match self.find_chat(account).await? {
                    Some(room) => Ok(room),
                    None => Err(self.rooms_error("make a direct chat", &error)),
                }
            }
            Err(error) => Err(self.rooms_error("make a direct chat", &error)),
        }
    }

    /// Invites who declined or left; returns where they stand.
    async fn invite_again(
        &self,
        account: AccountId,
        room: RoomId,
    ) -> Result<Membership, RoomsError> {
        match self.membership(account, room).await? {
            Membership::Absent => {
                let invited = self.parts.client.invite(room, account).await;
                invited.map_err(|error| self.rooms_error("invite somebody", &error))?;
                Ok(Membership::Invited)
            }
            membership => Ok(membership),
        }
    }

    async fn membership(&self, account: AccountId, room: RoomId) -> Result<Membership, RoomsError> {
        let members = self.parts.client.members(room).await;
        let members = members.map_err(|error| self.rooms_error("look into a room", &error))?;
        let member = members.iter().find(|member| member.account == account);
        Ok(match member.map(|member| member.state) {
            Some(MemberState::Active) => Membership::Joined,
            Some(MemberState::Invited) => Membership::Invited,
            Some(MemberState::Left) | None => Membership::Absent,
        })
    }

    async fn fresh_devices(&self, account: AccountId) -> Result<Devices, Fault> {
        self.look_up(account).await?;
        self.ledger.devices_of(account).await
    }

    fn describe(&self, greeting: &Greeting, membership: Membership, devices: Devices) -> Direct {
        let able = ids(&devices);
        let refused = devices.refused.into_iter();
        Direct {
            user: greeting.user.clone(),
            room: greeting.room.clone(),
            made: false,
            membership,
            refused: refused.map(|(address, why)| (names::device(&address.device), why)).collect(),
            said: greeting.said.len(),
            readers: greeting.readers(&able),
            due: membership == Membership::Joined && greeting.is_due(membership, &able),
            devices: able,
        }
    }
}

/// The greeting, if it is to be said now.
fn due(greeting: &Greeting, membership: Membership, devices: &Devices) -> Option<Notice> {
    let is_due = membership == Membership::Joined && greeting.is_due(membership, &ids(devices));
    let room = greeting.room.clone().filter(|_| is_due)?;
    Some(Notice {
        room,
        about: EventId::unknown(),
        sender: greeting.user.clone(),
        kind: NoticeKind::Greeting { text: Secret::new(greeting.text.clone()) },
        transaction: greeting.transaction()?,
    })
}

fn ids(devices: &Devices) -> BTreeSet<DeviceId> {
    devices.able.iter().map(|address| names::device(&address.device)).collect()
}
