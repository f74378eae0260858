//! What happens next: the connection, and everything that comes over it.
//!
//! Whatever is under way is in the fields of [`Chat`] or on the disk before
//! there is something to wait for, so each wait can be given up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Chat, ChatError, Entry, Happening, Mark, history::KnownRoom};
use crate::{
    client::{ClientError, TimelineKind},
    crypto::RoomId,
    socket::{Packet, Socket},
};

/// How often is asked for what nobody tells: invitations, rooms, missing keys.
const CHORES: Duration = Duration::from_secs(3);

/// How often the store is tidied, and rooms are looked at anew, in
/// milliseconds: the server forgets after an hour that they are.
const TIDY: u64 = 30 * 60 * 1000;

/// How long rows whose key is missing are kept, in milliseconds. Nobody is
/// asked for a key for longer.
const LOCKED_KEPT: u64 = 8 * 24 * 60 * 60 * 1000;

/// The longest wait that a server can ask for.
const LONGEST: Duration = Duration::from_secs(60);

/// What was waited for.
enum Heard {
    Packet(Result<Packet, ClientError>),
    Chores,
}

impl Chat {
    /// What happens next. That it is asked for says that what happened before
    /// was told: until then it is told again after a kill. Nothing is told twice
    /// in one life. Connects by itself, and again, for ever.
    ///
    /// # Errors
    ///
    /// What does not pass: the token, or the files.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Happening, ChatError> {
        self.told()?;
        loop {
            while let Some(Entry { happening, mark }) = self.queue.pop_front() {
                match happening {
                    Some(happening) => {
                        self.handed = Some(mark);
                        return Ok(happening);
                    }
                    None => self.note(mark)?,
                }
            }
            match self.advance().await {
                Ok(()) => {}
                Err(ChatError::Client(error)) if error.is_passing() => self.fall_back(error)?,
                Err(error) => {
                    self.pause(None)?;
                    return Err(error);
                }
            }
        }
    }

    /// Says that what [`Chat::next`] gave last was told, without asking for more:
    /// for whoever is about to end.
    ///
    /// # Errors
    ///
    /// If the files cannot be used. Then it is told again.
    pub fn told(&mut self) -> Result<(), ChatError> {
        match self.handed.take() {
            Some(mark) => self.note(mark),
            None => Ok(()),
        }
    }

    /// Looks at a room: who types there is told.
    pub async fn look_at(&mut self, room: RoomId) {
        self.looked_at.insert(room);
        if let Some(socket) = &mut self.socket
            && socket.subscribe(room).await.is_err()
        {
            self.socket = None;
        }
    }

    /// Tells others who look at a room that this account is typing there, if
    /// the server is there.
    pub async fn typing(&mut self, room: RoomId) {
        if let Some(socket) = &mut self.socket
            && socket.typing(room).await.is_err()
        {
            self.socket = None;
        }
    }

    /// One step towards the next thing that happens.
    async fn advance(&mut self) -> Result<(), ChatError> {
        if let Some(at) = self.retry_at {
            sleep_until(at).await;
            self.retry_at = None;
        }
        let Some(socket) = &mut self.socket else { return self.connect().await };
        if !self.is_caught_up {
            return self.catch_up().await;
        }
        if let Some(packet) = self.inbox.front().cloned() {
            self.take(packet).await?;
            self.inbox.pop_front();
            return Ok(());
        }
        let heard = tokio::select! {
            biased;
            packet = socket.next() => Heard::Packet(packet),
            () = sleep_until(self.chores_at) => Heard::Chores,
        };
        match heard {
            Heard::Packet(packet) => {
                self.inbox.push_back(packet?);
                Ok(())
            }
            Heard::Chores => self.chores().await,
        }
    }

    async fn connect(&mut self) -> Result<(), ChatError> {
        let mut socket = Socket::connect(&self.client).await?;
        for room in &self.looked_at {
            socket.subscribe(*room).await?;
        }
        self.socket = Some(socket);
        // All that the last one said is asked for again.
        self.inbox.clear();
        self.has_pending = true;
        self.is_caught_up = false;
        self.since = None;
        Ok(())
    }

    /// Asks for what was not told, a page of it. The socket is there already, so
    /// nothing falls between the two.
    async fn catch_up(&mut self) -> Result<(), ChatError> {
        let since = match self.since {
            Some(since) => since,
            None => {
                self.publish().await?;
                self.list_rooms().await?;
                self.receive_pending().await?;
                self.history.position()?.unwrap_or_default()
            }
        };
        let page = self.client.sync_all(since).await?;
        for row in page.rows {
            self.take_row(row)?;
        }
        self.since = Some(page.position);
        if !page.is_last {
            // The page is told before the next is asked for.
            return Ok(());
        }
        self.chores().await?;
        self.is_caught_up = true;
        self.backoff.reset();
        if self.is_online != Some(true) {
            self.is_online = Some(true);
            self.tell(Happening::Online);
        }
        Ok(())
    }

    /// What is to be done now and then.
    async fn chores(&mut self) -> Result<(), ChatError> {
        self.list_rooms().await?;
        self.list_invites().await?;
        if self.has_pending {
            self.receive_pending().await?;
        }
        self.work().await?;
        self.send_drafts().await?;
        let now = self.now();
        if now >= self.tidy_at {
            self.machine.prune(now)?;
            self.history.prune_locked(now.saturating_sub(LOCKED_KEPT))?;
            if let Some(socket) = &mut self.socket {
                for room in &self.looked_at {
                    socket.subscribe(*room).await?;
                }
            }
            self.tidy_at = now.saturating_add(TIDY);
        }
        self.chores_at = Instant::now() + CHORES;
        Ok(())
    }

    async fn take(&mut self, packet: Packet) -> Result<(), ChatError> {
        match packet {
            Packet::Row(row) => {
                if !self.rooms.contains_key(&row.room) {
                    self.list_rooms().await?;
                }
                if matches!(row.kind, TimelineKind::System(_)) {
                    // Who is in which room, or how it is encrypted, may be other now.
                    self.chores_at = Instant::now();
                }
                self.take_row(*row)
            }
            Packet::Envelope(envelope) => {
                self.chores_at = Instant::now();
                self.receive(&envelope).await.map(drop)
            }
            Packet::Typing { room, account } => {
                self.tell(Happening::Typing { room, account });
                Ok(())
            }
            Packet::Other { .. } => Ok(()),
        }
    }

    /// The server is not there: it is tried again later.
    fn fall_back(&mut self, why: ClientError) -> Result<(), ChatError> {
        self.pause(why.retry_after())?;
        if self.is_online != Some(false) {
            self.is_online = Some(false);
            self.tell(Happening::Offline { why });
        }
        Ok(())
    }

    fn pause(&mut self, at_least: Option<Duration>) -> Result<(), ChatError> {
        self.socket = None;
        let mut chance = [0; 4];
        getrandom::fill(&mut chance)?;
        let wait = self.backoff.next(u32::from_ne_bytes(chance));
        self.retry_at = Some(Instant::now() + wait.max(at_least.unwrap_or_default().min(LONGEST)));
        Ok(())
    }

    /// Compares the rooms that this account is in with what was told.
    pub(super) async fn list_rooms(&mut self) -> Result<(), ChatError> {
        let rooms = self.client.rooms().await?;
        let mut known = self.history.rooms()?;
        let telling = self.handed.iter().chain(self.queue.iter().map(|entry| &entry.mark));
        for mark in telling {
            if let Mark::Member { room, is_member } = mark {
                let unknown = KnownRoom { mode: None, other: None, is_member: false };
                known.entry(*room).or_insert(unknown).is_member = *is_member;
            }
        }
        self.rooms = rooms.into_iter().map(|room| (room.id, room)).collect();
        for room in self.rooms.clone().into_values() {
            let before = known.remove(&room.id);
            self.history.note_mode(room.id, room.mode)?;
            let is_other =
                before.and_then(|known| known.mode).is_some_and(|mode| mode != room.mode);
            if is_other && self.downgraded.insert(room.id) {
                self.tell(Happening::Downgraded { room: room.id });
            }
            if !before.is_some_and(|known| known.is_member) {
                let mark = Mark::Member { room: room.id, is_member: true };
                self.queue.push_back(Entry { happening: Some(Happening::Entered { room }), mark });
            }
        }
        for (room, known) in known {
            if known.is_member {
                let mark = Mark::Member { room, is_member: false };
                self.queue.push_back(Entry { happening: Some(Happening::Gone { room }), mark });
            }
        }
        Ok(())
    }

    async fn list_invites(&mut self) -> Result<(), ChatError> {
        let invites = match self.client.invites().await {
            Ok(invites) => invites,
            // Anybody can invite to as much as makes an answer too long to be
            // read. What else there is to hear does not depend on it.
            Err(error) if error.is_passing() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.invited.retain(|room| invites.iter().any(|invite| invite.room.id == *room));
        for invite in invites {
            if self.invited.insert(invite.room.id) {
                self.tell(Happening::Invited { room: invite.room, by: invite.by });
            }
        }
        Ok(())
    }
}
