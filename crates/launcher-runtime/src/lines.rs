//! Messages waiting for their answer: one line per room.
//!
//! Within a room one message is worked on at a time, so answers keep the order
//! of the questions and no two sends of one agent meet in a room (the
//! encryption's bookkeeping does not survive that). Different rooms do not
//! wait for each other.
//!
//! What stands in a line is in the journal as well. A line that is dropped
//! loses nothing: the next life of the agent takes it up again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use launcher_core::{fault::Fault, names::RoomId};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

use crate::{
    answering::{self, Crew},
    ports::{Notice, journal::Place},
    task,
};

/// Pieces of work in the lines at most; what is more waits in the journal.
/// They are places, not messages, so they cost little, and so many that one
/// busy room does not keep the others out.
const ENOUGH: usize = 50_000;

/// Something that one agent has to do in one room.
#[derive(Debug)]
pub(crate) enum Work {
    /// Answer a message.
    Answer(Place),
    /// Say that a message cannot be read.
    Notice(Notice),
}

impl Work {
    fn room(&self) -> &RoomId {
        match self {
            Self::Answer(place) => &place.room,
            Self::Notice(notice) => &notice.room,
        }
    }
}

impl Work {
    /// Whether this was said before the other.
    fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(one), Self::Answer(other)) => one.number < other.number,
            _ => false,
        }
    }
}

/// How the work ended: well, or with a fault of the journal.
pub(crate) type Done<T = ()> = Result<T, Fault>;

/// The lines of one agent.
pub(crate) struct Lines {
    crew: Arc<Crew>,
    waiting: BTreeMap<RoomId, VecDeque<Work>>,
    count: usize,
    tasks: JoinSet<Done>,
    busy: BTreeMap<RoomId, Id>,
    closed: bool,
}

impl Lines {
    pub(crate) fn new(crew: Arc<Crew>) -> Self {
        Self {
            crew,
            waiting: BTreeMap::new(),
            count: 0,
            tasks: JoinSet::new(),
            busy: BTreeMap::new(),
            closed: false,
        }
    }

    /// Puts work at the end of its room's line; what came late into the line,
    /// before what was said after it.
    pub(crate) fn push(&mut self, work: Work) {
        self.count += 1;
        let line = self.waiting.entry(work.room().clone()).or_default();
        let at = line.iter().position(|other| work.is_before(other)).unwrap_or(line.len());
        line.insert(at, work);
        self.start();
        self.show();
    }

    fn show(&self) {
        self.crew.report.set_queued(self.count + self.busy.len());
    }

    /// How much more may be pushed.
    pub(crate) fn room_for(&self) -> usize {
        ENOUGH.saturating_sub(self.count + self.crew.deferred.count())
    }

    /// Whether nobody works.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Lets nobody begin anything new.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Ends all work at once and waits until it has ended.
    pub(crate) async fn abandon(&mut self) {
        self.close();
        self.tasks.shutdown().await;
        self.crew.report.set_queued(0);
    }

    /// How the next piece of work ended; never while [`Lines::is_idle`].
    ///
    /// Cancel safe.
    pub(crate) async fn next_done(&mut self) -> Done {
        match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(ended) => self.on_ended(ended),
        }
    }

    fn on_ended(&mut self, ended: Result<(Id, Done), JoinError>) -> Done {
        let (id, done) = match ended {
            Ok(ended) => ended,
            Err(failed) => {
                let id = failed.id();
                // A behavior's panic is caught where it is asked; this is one of ours.
                let done = if failed.is_panic() { Err(task::panicked()) } else { Ok(()) };
                (id, done)
            }
        };
        self.busy.retain(|_, task| *task != id);
        self.start();
        self.show();
        done
    }

    fn start(&mut self) {
        if self.closed {
            return;
        }
        let rooms: Vec<RoomId> =
            self.waiting.keys().filter(|room| !self.busy.contains_key(room)).cloned().collect();
        for room in rooms {
            let Some(line) = self.waiting.get_mut(&room) else { continue };
            let work = line.pop_front();
            if line.is_empty() {
                self.waiting.remove(&room);
            }
            if let Some(work) = work {
                self.count -= 1;
                let crew = self.crew.clone();
                let work = async move {
                    match work {
                        Work::Answer(place) => answering::answer(&crew, place.number).await,
                        Work::Notice(notice) => answering::notify(&crew, notice).await,
                    }
                };
                let handle = task::spawn(&mut self.tasks, work.in_current_span());
                self.busy.insert(room, handle.id());
            }
        }
    }
}
