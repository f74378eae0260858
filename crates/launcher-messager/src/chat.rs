//! A person's client: the engine and a server put together.
//!
//! [`Chat::next`] tells what happens, one [`Happening`] after the other, keeps
//! the connection, and does whatever keys need in between; the other methods do
//! what a person wants done. Everything that is under way is on the disk, so a
//! chat that is dropped at any moment, or killed, goes on where it was.
//!
//! It writes only where it is encrypted. Trust is that of the first sight: keys
//! go to every device of every member, and nothing that is new about a device is
//! silent.

mod acting;
mod backoff;
mod devices;
mod error;
mod happening;
mod hearing;
mod history;
mod keys;
mod reading;
mod sending;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    fs::{DirBuilder, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::secret::{PickleKey, Secret};
use tokio::time::Instant;
use url::Url;

use self::{backoff::Backoff, devices::DeviceState, history::History};
pub use self::{
    error::ChatError,
    happening::{DeviceNews, Happening, Message, RefusedFor, Trust},
    history::HistoryError,
};
use crate::{
    client::{Client, Connections, Me, Room},
    crypto::{Address, Machine, Published, RoomId, RowId},
    moments,
    socket::{Packet, Socket},
};

/// A person's client of one device. Its calls use the disk for moments.
pub struct Chat {
    client: Client,
    me: Me,
    machine: Machine,
    history: History,
    clock: Clock,
    /// The way to the server, while there is one.
    socket: Option<Socket>,
    /// Whether envelopes may wait at the server that the socket does not bring.
    has_pending: bool,
    /// Whether everything before the socket was asked for.
    is_caught_up: bool,
    /// How far that is, once it has begun.
    since: Option<u64>,
    /// Whether the person was told that the server is there; `None` at first.
    is_online: Option<bool>,
    backoff: Backoff,
    /// When the server may be tried again.
    retry_at: Option<Instant>,
    /// When what nobody tells is asked for again.
    chores_at: Instant,
    /// When the store is tidied next, by the clock.
    tidy_at: u64,
    /// What came over the socket and was not looked at.
    inbox: VecDeque<Packet>,
    /// What is to be told, in order.
    queue: VecDeque<Entry>,
    /// What was told last, to be noted when the next is asked for.
    handed: Option<Mark>,
    /// Rows that are in the queue.
    queued: BTreeSet<RowId>,
    /// Devices whose news are in the queue.
    telling: BTreeMap<Address, DeviceState>,
    /// Invitations that were told in this life.
    invited: BTreeSet<RoomId>,
    /// Rooms that this account is in, as was listed last.
    rooms: BTreeMap<RoomId, Room>,
    /// Rooms in which the person wants to know who types.
    looked_at: BTreeSet<RoomId>,
    /// Rooms of which it was told in this life that they were encrypted otherwise.
    downgraded: BTreeSet<RoomId>,
    /// Keeps other processes off the folder.
    _lock: File,
}

/// What is to be told, and what is noted when it was.
struct Entry {
    happening: Option<Happening>,
    mark: Mark,
}

/// What is noted when something was told.
enum Mark {
    Nothing,
    /// A row, with the message that it is.
    Row {
        id: RowId,
        room: RoomId,
        created_at: u64,
        message: Option<Box<Message>>,
    },
    /// The same with a row that was locked.
    Unlocked {
        id: RowId,
        room: RoomId,
        created_at: u64,
        message: Option<Box<Message>>,
    },
    /// A message that says something else, with the row that says so.
    Edit {
        id: RowId,
        room: RoomId,
        created_at: u64,
        message: Box<Message>,
    },
    /// A message that is deleted, with the row that says so.
    Delete {
        id: RowId,
        room: RoomId,
        created_at: u64,
        target: RowId,
    },
    /// Whether this account is in a room.
    Member {
        room: RoomId,
        is_member: bool,
    },
    /// A device as it was told.
    Device {
        address: Address,
        state: DeviceState,
    },
}

/// What time it is, in milliseconds since 1970.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The clock of the system.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// One that `now` tells.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// What it says.
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Chat").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Chat {
    /// Opens a device's chat in `folder`, which is made with mode 0700 if it is
    /// not there, and publishes its keys. The first time, it begins with what is
    /// written from then on. One process at a time.
    ///
    /// # Errors
    ///
    /// See [`ChatError`]. The server has to be there; [`ChatError::is_passing`]
    /// says whether to try again.
    pub async fn open(
        connections: &Connections,
        server: Url,
        token: Secret<String>,
        folder: &Path,
        key: &PickleKey,
    ) -> Result<Self, ChatError> {
        Self::open_at(connections, server, token, folder, key, Clock::system()).await
    }

    /// The same with another clock.
    ///
    /// # Errors
    ///
    /// As [`Chat::open`].
    pub async fn open_at(
        connections: &Connections,
        server: Url,
        token: Secret<String>,
        folder: &Path,
        key: &PickleKey,
        clock: Clock,
    ) -> Result<Self, ChatError> {
        let client = Client::new(connections, server, token);
        let me = client.me().await?;
        let shown = client.own_bundle(&me).await?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = lock(folder)?;
        let address = Address::new(me.account, me.device.clone());
        let path = folder.join("crypto.db");
        let mut machine = match Machine::open(&path, key, &address)? {
            Some(machine) => machine,
            // New keys under a known name would be refused by everybody.
            None if shown.is_some() => return Err(ChatError::OtherKeys),
            None => Machine::create(&path, key, &address, clock.now())?,
        };
        match machine.published(shown.as_ref())? {
            Published::Missing | Published::Ours => {}
            Published::Foreign => return Err(ChatError::OtherKeys),
            Published::Ahead => return Err(ChatError::Copied),
        }
        let history = History::open(&folder.join("chat.db"), key)?;
        let mut chat = Self {
            client,
            me,
            machine,
            history,
            clock,
            socket: None,
            has_pending: true,
            is_caught_up: false,
            since: None,
            is_online: None,
            backoff: Backoff::default(),
            retry_at: None,
            chores_at: Instant::now(),
            tidy_at: 0,
            inbox: VecDeque::new(),
            queue: VecDeque::new(),
            handed: None,
            queued: BTreeSet::new(),
            telling: BTreeMap::new(),
            invited: BTreeSet::new(),
            rooms: BTreeMap::new(),
            looked_at: BTreeSet::new(),
            downgraded: BTreeSet::new(),
            _lock: lock,
        };
        chat.publish().await?;
        if chat.history.position()?.is_none() {
            // Nobody gave this device the keys of what was before.
            let newest = chat.client.newest().await?;
            chat.history.begin(moments::first(newest, chat.now()))?;
        }
        for account in chat.history.watched()? {
            chat.tell_devices(account)?;
        }
        chat.open_locked(None)?;
        Ok(chat)
    }

    /// Whose chat it is.
    pub fn me(&self) -> &Me {
        &self.me
    }

    /// This device's signing key, by which people know it, base64.
    pub fn ed25519(&self) -> String {
        self.machine.ed25519()
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn tell(&mut self, happening: Happening) {
        self.queue.push_back(Entry { happening: Some(happening), mark: Mark::Nothing });
    }
}

/// Two on one folder would each use the other's keys.
fn lock(folder: &Path) -> Result<File, ChatError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600);
    let file = file.open(folder.join("chat.lock"))?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ChatError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
