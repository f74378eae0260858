//! A connected Messager account.
//!
//! The websocket only says that there is news; everything is read over HTTP,
//! from the journal's position, so a socket that is cut off or tells lies costs
//! time and nothing else. Nothing has to be done in order at the end: each step
//! of the machine is a transaction.

mod answers;
mod direct;
mod envelopes;
mod errands;
mod invites;
mod modes;
mod outbox;
mod plain;
mod reading;
mod rooms;
mod sending;
mod timeline;
mod trusting;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId as Room, UserId},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    ports::{
        Answer, Arrivals, Notice, SendFault, Session,
        journal::{Journal, Stamp},
        outbox::Outbox,
        rooms::{Invitation, Rooms},
        trust::Trust,
    },
    serving::Serving,
    stamp,
    turns::Turns,
};
use tokio::sync::Notify;

pub(crate) use self::{
    errands::publish,
    reading::{moment_of, position_of},
};
use self::{invites::Invites, modes::First, waiting::Line};
use crate::{
    book::Book,
    client::{Client, ClientError, Me},
    crypto::{Address, RoomId},
    engine::Engine,
    faults,
    ledger::Ledger,
    locked::{Told, Waiting},
    names,
};

/// What a session is made of.
pub(crate) struct Parts {
    pub(crate) spec: AgentSpec,
    pub(crate) client: Client,
    pub(crate) me: Me,
    pub(crate) engine: Engine,
    pub(crate) report: Arc<Report>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) told: Arc<Told>,
}

/// A connected Messager account.
pub(crate) struct MessagerSession {
    parts: Parts,
    address: Address,
    ledger: Ledger,
    book: Book,
    reading: tokio::sync::Mutex<Reading>,
    line: tokio::sync::Mutex<Line>,
    /// What the next reading is to look at.
    wanted: Mutex<Wanted>,
    /// When something is due although the server has no news.
    due: Mutex<Option<Stamp>>,
    /// Ends the wait for news.
    stirred: Notify,
    /// Rooms in which the agent is at work, to be told by the socket.
    typing: Mutex<BTreeSet<RoomId>>,
    typed: Notify,
    /// The invitations that wait, once this life has looked at them.
    pending: Mutex<Option<Vec<Invitation>>>,
    /// Whose messages are looked at again, because an operator said something or
    /// their devices changed.
    hurried: Mutex<BTreeSet<UserId>>,
    /// Rooms that were seen to be encrypted, whether the journal has it by now or not.
    encrypted: Mutex<BTreeSet<RoomId>>,
    /// What rooms were first, as the journal knows it. Held while the journal is
    /// asked, so that the first word counts.
    modes: tokio::sync::Mutex<BTreeMap<RoomId, First>>,
    /// Rooms in which something is sent.
    turns: Turns,
    /// Keys of messages that an operator sends.
    keys: Turns,
    /// Held while envelopes are sent, so that those of one device keep their order.
    delivering: tokio::sync::Mutex<()>,
    /// Held while a direct chat is made.
    making: tokio::sync::Mutex<()>,
    serving: Serving,
    /// What was found out about the session itself.
    broken: Mutex<Option<Fault>>,
    broke: Notify,
    /// How far the server's clock is ahead of this one, in milliseconds.
    ahead: AtomicI64,
}

/// What is carried from one reading to the next.
#[derive(Default)]
struct Reading {
    waiting: Waiting,
    invites: Invites,
    /// When what is old was last removed from the store.
    pruned: Option<Stamp>,
    /// Whether this life has read once.
    is_begun: bool,
    /// Whether something is to be done for keys that could not be done.
    is_behind: bool,
    /// Whether the server's clock is behind the last row that was read.
    is_clock_behind: bool,
}

/// What a reading looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    rows: bool,
    invites: bool,
}

impl Wanted {
    const ALL: Self = Self { rows: true, invites: true };
}

impl MessagerSession {
    /// Takes over what is connected. What waits since earlier lives is taken up.
    pub(crate) async fn start(parts: Parts) -> Result<Self, Fault> {
        let waiting = Waiting::load(&*parts.journal, &parts.report).await?;
        let ledger = Ledger::new(&parts.spec, parts.engine.clone(), parts.journal.clone());
        let address = Address::new(parts.me.account, parts.me.device.clone());
        Ok(Self {
            address,
            ledger,
            book: Book::default(),
            reading: tokio::sync::Mutex::new(Reading { waiting, ..Reading::default() }),
            line: tokio::sync::Mutex::default(),
            wanted: Mutex::new(Wanted::ALL),
            due: Mutex::default(),
            stirred: Notify::new(),
            typing: Mutex::default(),
            typed: Notify::new(),
            pending: Mutex::default(),
            hurried: Mutex::default(),
            encrypted: Mutex::default(),
            modes: tokio::sync::Mutex::default(),
            turns: Turns::default(),
            keys: Turns::default(),
            delivering: tokio::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
            serving: Serving::default(),
            broken: Mutex::default(),
            broke: Notify::new(),
            ahead: AtomicI64::new(0),
            parts,
        })
    }

    /// What a failed request means. One that the session does not survive ends
    /// the wait for news.
    fn fault(&self, error: &ClientError) -> Fault {
        let fault = faults::of_client(&self.parts.spec, error);
        if !matches!(fault, Fault::ServerUnavailable { .. }) {
            self.note_broken(fault.clone());
        }
        fault
    }

    fn note_broken(&self, fault: Fault) {
        locked(&self.broken).get_or_insert(fault);
        self.broke.notify_one();
    }

    /// What was found out about the session, as an error.
    fn check_broken(&self) -> Result<(), Fault> {
        locked(&self.broken).clone().map_or(Ok(()), Err)
    }

    /// Has the next reading look at everything, now.
    fn stir(&self) {
        *locked(&self.wanted) = Wanted::ALL;
        self.stirred.notify_one();
    }

    /// This moment, by the server's clock.
    fn server_now(&self) -> Stamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Stamp(stamp().0.saturating_add_signed(ahead))
    }

    /// Whether the room is encrypted or ever was.
    async fn was_encrypted(&self, room: RoomId) -> Result<bool, Fault> {
        if locked(&self.encrypted).contains(&room) {
            return Ok(true);
        }
        let was = self.parts.journal.was_encrypted(&names::room(room)).await?;
        if was {
            locked(&self.encrypted).insert(room);
        }
        Ok(was)
    }
}

#[async_trait]
impl Session for MessagerSession {
    fn own(&self) -> UserId {
        names::user(self.address.account)
    }

    async fn wait(&self) -> Result<(), Fault> {
        self.wait_for_news().await
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        self.read_news().await
    }

    async fn send(&self, answer: &Answer) -> Result<EventId, SendFault> {
        self.send_answer(answer).await
    }

    async fn send_notice(&self, notice: &Notice) -> Result<EventId, SendFault> {
        self.send_note(notice).await
    }

    async fn typing(&self, room: &Room, is_at_work: bool) {
        // That somebody has stopped is told to nobody here: it is forgotten by itself.
        if let Some(room) = names::room_of(room).filter(|_| is_at_work) {
            locked(&self.typing).insert(room);
            self.typed.notify_one();
        }
    }

    fn parts(&self, text: &str) -> Vec<String> {
        answers::parts(text)
    }

    async fn close(&self) {
        self.serving.close().await;
        self.line.lock().await.hang_up();
        self.parts.engine.close().await;
    }

    fn trust(&self) -> Option<&dyn Trust> {
        Some(self)
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn rooms(&self) -> Option<&dyn Rooms> {
        Some(self)
    }
}

/// What a mutex guards, whoever panicked while they held it.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
