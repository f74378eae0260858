//! Direct chats that an operator wants, and the greetings in them.
//!
//! Whatever ends the work in the middle, the next attempt finds what is there.
//! A room that is being made is in the journal before the server is asked for
//! it, and names the user it is for in its first event; so a room whose id
//! nobody has heard is found by what the server shows of the agent's rooms.

use std::{collections::BTreeSet, time::Duration};

use launcher_core::{
    fault::Fault,
    greeting::{Greeting, Membership, Said},
    names::{EventId, RoomId as Room, UserId},
    secret::Secret,
};
use launcher_runtime::{
    ports::{
        Notice, NoticeKind, SendFault,
        journal::Stamp,
        rooms::{Direct, RoomsError},
    },
    stamp,
};
use matrix_sdk::{
    Client, RoomMemberships,
    deserialized_responses::RawAnySyncOrStrippedState,
    ruma::{
        self,
        events::{StateEventType, room::member::MembershipState},
    },
};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{
    MatrixSession,
    rooms::{refused, room_id},
};
use crate::trust::reach::{self, Devices};

/// Names the user whom a room is made for, in the room's first event.
const FOR: &str = "launcher.direct";

/// How long after it was asked a server may still make a room: as long as the
/// request may take, and half a minute that nobody waits for it any more.
const SETTLE: Duration = Duration::from_secs(90);

impl MatrixSession {
    /// See [`Rooms::open_direct`](launcher_runtime::ports::rooms::Rooms::open_direct).
    pub(super) async fn open_direct_chat(
        &self,
        user: &UserId,
        text: Option<&str>,
    ) -> Result<Direct, RoomsError> {
        self.check_partner(user)?;
        // One at a time: two that look side by side would each make a room.
        let _alone = self.greetings.making.lock().await;
        let text = match (text, self.greetings.of(user).await) {
            (Some(text), _) => text.to_owned(),
            (None, Some(greeting)) => greeting.text,
            (None, None) => self.common_greeting().await?,
        };
        let new = Greeting::new(user.clone(), text.clone());
        let mut greeting = self.greetings.change(new, |greeting| greeting.set_text(text)).await?;
        let mut made = false;
        let room = match self.find_chat(&greeting).await? {
            Some(room) => room,
            None if greeting.making.is_some_and(is_recent) => {
                return Ok(self.report(&greeting, Membership::Absent, Devices::default()));
            }
            None => {
                made = true;
                self.make_chat(&greeting).await?
            }
        };
        greeting =
            self.greetings.change(greeting, |greeting| greeting.set_room(room.clone())).await?;
        self.mark_direct(user, &room).await?;
        let membership = self.invite_to_chat(user, &room).await?;
        let (greeting, devices) = self.greet(greeting, membership).await?;
        Ok(Direct { made, ..self.report(&greeting, membership, devices) })
    }

    /// See [`Rooms::direct`](launcher_runtime::ports::rooms::Rooms::direct).
    pub(super) async fn direct_chat(&self, user: &UserId) -> Result<Direct, RoomsError> {
        let greeting = self.greetings.of(user).await.ok_or_else(|| {
            refused(
                format!("no direct chat with {user} was asked for"),
                format!("`launcher invites {} dm {user}`", self.parts.spec.id),
            )
        })?;
        let live = self.live().await?;
        let membership = match &greeting.room {
            Some(room) => membership(&live.client, room, user).await?,
            None => Membership::Absent,
        };
        let devices = self.ledger.devices_of(&live.client, user, false).await?;
        Ok(self.report(&greeting, membership, devices))
    }

    /// What is to be said to whom something is new about: to those in these rooms,
    /// to these users, or to everybody who waits for a greeting.
    pub(super) async fn due_greetings(
        &self,
        client: &Client,
        rooms: &BTreeSet<Room>,
        users: &BTreeSet<UserId>,
        all: bool,
    ) -> Result<Vec<Notice>, Fault> {
        let mut due = Vec::new();
        for greeting in self.greetings.open(rooms, users, all).await {
            let Some(room) = &greeting.room else { continue };
            let membership = membership(client, room, &greeting.user).await?;
            if membership == Membership::Absent {
                continue;
            }
            let devices = self.ledger.devices_of(client, &greeting.user, true).await?;
            due.extend(self.due_notice(greeting, membership, &devices).await?);
        }
        Ok(due)
    }

    /// The event of a greeting that was said meanwhile: an operator and the room's
    /// line may both be about to say it.
    pub(super) async fn said_already(&self, notice: &Notice) -> Option<EventId> {
        let NoticeKind::Greeting { .. } = notice.kind else { return None };
        let greeting = self.greetings.of(&notice.sender).await?;
        let said = greeting.said.into_iter().find(|said| said.transaction == notice.transaction);
        said.map(|said| said.event)
    }

    /// Writes down that a greeting was said, and who got its key.
    pub(super) async fn greeted(&self, notice: &Notice, event: &EventId) -> Result<(), Fault> {
        let user = &notice.sender;
        let Some(greeting) = self.greetings.of(user).await else { return Ok(()) };
        let reached = reach::holders(&self.parts.place, &notice.room, user).await?;
        let live = self.live().await?;
        let mut tried = self.ledger.devices_of(&live.client, user, false).await?.able;
        tried.extend(reached.iter().cloned());
        drop(live);
        info!(room = %notice.room, %user, event_id = %event, devices = reached.len(), "greeted somebody");
        let said =
            Said { transaction: notice.transaction.clone(), event: event.clone(), tried, reached };
        self.greetings.change(greeting, |greeting| greeting.note(said)).await?;
        Ok(())
    }

    fn check_partner(&self, user: &UserId) -> Result<(), RoomsError> {
        if user.as_str() == self.parts.spec.account.user_id {
            return Err(refused("that is the agent itself", "name somebody else"));
        }
        match ruma::UserId::parse(user.as_str()) {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(refused(format!("{user} is no user id: {error}"), "write it like @user:server"))
            }
        }
    }

    async fn common_greeting(&self) -> Result<String, Fault> {
        let client = self.client().await?;
        let name = match client.account().get_display_name().await {
            Ok(name) => name.filter(|name| !name.trim().is_empty()),
            Err(error) => {
                warn!(%error, "the agent's display name is not known");
                None
            }
        };
        let name = name.unwrap_or_else(|| self.parts.spec.id.to_string());
        Ok(format!("Hello, I am {name}. Write me here."))
    }

    /// The chat that there is: the one that was made before, or any other that the
    /// agent is in alone with the user. What the SDK knows is looked at first.
    async fn find_chat(&self, greeting: &Greeting) -> Result<Option<Room>, RoomsError> {
        let live = self.live().await?;
        if let Some(room) = self.look_for_chat(&live.client, greeting).await? {
            return Ok(Some(room));
        }
        let mut reading = self.reading.lock().await;
        self.sync_now(&live, &mut reading).await?;
        drop(reading);
        self.look_for_chat(&live.client, greeting).await
    }

    async fn look_for_chat(
        &self,
        client: &Client,
        greeting: &Greeting,
    ) -> Result<Option<Room>, RoomsError> {
        let user = &greeting.user;
        let mut best: Option<(u8, Room)> = None;
        for room in client.joined_rooms() {
            let id = Room::new(room.room_id().as_str());
            let is_noted = greeting.room.as_ref() == Some(&id);
            if room.active_members_count() > 2 && !is_noted {
                continue;
            }
            let members = room.members(RoomMemberships::ACTIVE).await;
            let members = members.map_err(|error| self.rooms_error("look into", &id, &error))?;
            let others: Vec<&str> = members
                .iter()
                .map(|member| member.user_id().as_str())
                .filter(|member| *member != self.parts.spec.account.user_id)
                .collect();
            let is_theirs = match others.as_slice() {
                [other] => *other == user.as_str(),
                // They declined or left, or were not invited yet.
                [] => is_noted || is_made_for(&room, user).await,
                _ => false,
            };
            if !is_theirs || !self.is_encrypted(&room, &id).await? {
                continue;
            }
            let is_direct =
                room.direct_targets().iter().any(|target| target.as_str() == user.as_str());
            let rank = match (is_noted, is_direct) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
            if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                best = Some((rank, id));
            }
        }
        Ok(best.map(|(_, room)| room))
    }

    async fn is_encrypted(&self, room: &matrix_sdk::Room, id: &Room) -> Result<bool, RoomsError> {
        let encryption = room.latest_encryption_state().await;
        let encryption = encryption.map_err(|error| self.rooms_error("look into", id, &error))?;
        Ok(encryption.is_encrypted())
    }

    /// Has the server make the room. Whoever is killed, or gets no answer, finds it
    /// by [`is_made_for`].
    async fn make_chat(&self, greeting: &Greeting) -> Result<Room, RoomsError> {
        let set = |making: Option<Stamp>| {
            self.greetings.change(greeting.clone(), move |greeting| {
                greeting.making = making.map(|stamp| stamp.0);
            })
        };
        set(Some(stamp())).await?;
        let content = json!({
            "preset": "private_chat",
            "is_direct": true,
            "creation_content": { FOR: greeting.user.as_str() },
            "initial_state": [{
                "type": "m.room.encryption",
                "state_key": "",
                "content": { "algorithm": "m.megolm.v1.aes-sha2" },
            }],
        });
        match self.parts.rest.create_room(&self.token(), &content).await {
            Ok(room) => {
                let room = Room::new(room);
                self.greetings
                    .change(greeting.clone(), |greeting| greeting.set_room(room.clone()))
                    .await?;
                self.take_up(&room).await?;
                Ok(room)
            }
            Err(error) => {
                // A proxy's error, or none: the server may go on with it.
                if error.is_undone() {
                    set(None).await?;
                }
                Err(self.rest_error("make a room", error))
            }
        }
    }

    /// Notes in the account that the room is a direct chat (spec 11.23).
    async fn mark_direct(&self, user: &UserId, room: &Room) -> Result<(), RoomsError> {
        const KIND: &str = "m.direct";
        let (rest, token) = (&self.parts.rest, self.token());
        let own = &self.parts.spec.account.user_id;
        let failed = |error| self.rest_error("note a direct chat", error);
        let found = rest.account_data(&token, own, KIND).await.map_err(failed)?;
        let mut content = match found {
            Some(Value::Object(content)) => content,
            _ => serde_json::Map::new(),
        };
        let rooms = content.entry(user.as_str()).or_insert_with(|| json!([]));
        if !rooms.is_array() {
            *rooms = json!([]);
        }
        let id = json!(room.as_str());
        match rooms.as_array_mut() {
            Some(rooms) if !rooms.contains(&id) => rooms.push(id),
            _ => return Ok(()),
        }
        rest.set_account_data(&token, own, KIND, &Value::Object(content)).await.map_err(failed)
    }

    /// Invites the user, unless they are in the room or invited already.
    async fn invite_to_chat(&self, user: &UserId, room: &Room) -> Result<Membership, RoomsError> {
        let live = self.live().await?;
        let found = membership(&live.client, room, user).await?;
        if found != Membership::Absent {
            return Ok(found);
        }
        let token = self.token();
        let invited = self.parts.rest.invite(&token, room.as_str(), user.as_str(), true);
        invited.await.map_err(|error| self.rest_error(&format!("invite {user}"), error))?;
        // The greeting's key goes to those whom the SDK sees in the room.
        let mut reading = self.reading.lock().await;
        self.sync_now(&live, &mut reading).await?;
        Ok(membership(&live.client, room, user).await?.max(Membership::Invited))
    }

    /// Says the greeting, if it is due; returns what is known then.
    async fn greet(
        &self,
        greeting: Greeting,
        membership: Membership,
    ) -> Result<(Greeting, Devices), RoomsError> {
        let live = self.live().await?;
        let devices = self.ledger.devices_of(&live.client, &greeting.user, true).await?;
        // Sending takes the client for itself.
        drop(live);
        let Some(notice) = self.due_notice(greeting.clone(), membership, &devices).await? else {
            return Ok((greeting, devices));
        };
        self.parts.journal.sending(&notice.transaction).await?;
        self.send_note(&notice).await.map_err(|fault| match fault {
            SendFault::Refused { detail } => refused(
                format!("the greeting is refused: {detail}"),
                format!("`launcher doctor {}`", self.parts.spec.id),
            ),
            SendFault::Passing { detail, .. } => {
                refused(format!("the greeting was not sent: {detail}"), "repeat the command")
            }
        })?;
        let greeting = self.greetings.of(&greeting.user).await.unwrap_or(greeting);
        Ok((greeting, devices))
    }

    /// The greeting, if it is to be said now. Notes when nothing is left to say.
    async fn due_notice(
        &self,
        greeting: Greeting,
        membership: Membership,
        devices: &Devices,
    ) -> Result<Option<Notice>, Fault> {
        if greeting.is_over(membership, &devices.able) {
            self.greetings.change(greeting, |greeting| greeting.settled = true).await?;
            return Ok(None);
        }
        if !greeting.is_due(membership, &devices.able) {
            return Ok(None);
        }
        let notice = |(room, transaction)| Notice {
            room,
            about: EventId::new(""),
            sender: greeting.user.clone(),
            kind: NoticeKind::Greeting { text: Secret::new(greeting.text.clone()) },
            transaction,
        };
        Ok(greeting.room.clone().zip(greeting.transaction()).map(notice))
    }

    fn report(&self, greeting: &Greeting, membership: Membership, devices: Devices) -> Direct {
        Direct {
            user: greeting.user.clone(),
            room: greeting.room.clone(),
            made: false,
            membership,
            said: greeting.said.len(),
            readers: greeting.readers(&devices.able),
            due: greeting.is_due(membership, &devices.able),
            devices: devices.able,
            refused: devices.refused,
        }
    }
}

fn is_recent(asked: u64) -> bool {
    stamp().since(Stamp(asked)) < SETTLE
}

/// Whether the agent made the room for a direct chat with this user.
async fn is_made_for(room: &matrix_sdk::Room, user: &UserId) -> bool {
    if room.creators().is_none_or(|creators| !creators.iter().any(|id| id == room.own_user_id())) {
        return false;
    }
    let created = room.get_state_event(StateEventType::RoomCreate, "").await;
    let Ok(Some(RawAnySyncOrStrippedState::Sync(created))) = created else { return false };
    let content = created.get_field::<Value>("content").ok().flatten().unwrap_or_default();
    content[FOR] == user.as_str()
}

/// Where a user stands to a room that the agent is in; [`Membership::Absent`] if
/// the agent is not.
async fn membership(client: &Client, room: &Room, user: &UserId) -> Result<Membership, Fault> {
    let failed = |error: matrix_sdk::Error| Fault::StoreFailed { detail: error.to_string() };
    let (Some(id), Ok(user)) = (room_id(room), ruma::UserId::parse(user.as_str())) else {
        return Ok(Membership::Absent);
    };
    let Some(room) = client.get_room(&id) else { return Ok(Membership::Absent) };
    if room.state() != matrix_sdk::RoomState::Joined {
        return Ok(Membership::Absent);
    }
    let member = room.get_member_no_sync(&user).await.map_err(failed)?;
    Ok(match member.map(|member| member.membership().clone()) {
        Some(MembershipState::Join) => Membership::Joined,
        Some(MembershipState::Invite) => Membership::Invited,
        _ => Membership::Absent,
    })
}
