//! What is kept: one SQLite file in a folder that only its owner can open.
//!
//! One thread writes, a few connections read. An answer goes out when what it
//! says is on the disk, and packets go out after that, in the order of the rows.

pub(crate) mod accounts;
pub(crate) mod bundles;
mod clock;
pub(crate) mod deleting;
pub(crate) mod editing;
pub(crate) mod envelopes;
pub(crate) mod fanning;
mod folder;
pub(crate) mod invites;
pub(crate) mod links;
pub(crate) mod listing;
pub(crate) mod members;
mod migrations;
pub(crate) mod reactions;
mod readers;
pub(crate) mod rooms;
pub(crate) mod sending;
pub(crate) mod sessions;
mod stop;
pub(crate) mod sweeping;
pub(crate) mod timeline;
pub(crate) mod view;
pub(crate) mod voices;
mod writer;

pub use self::folder::OpenError;
pub(crate) use self::{
    folder::{Connections, Folder},
    stop::Stop,
    writer::{Effect, Later, Recipients, Thread, Work},
};

use std::sync::Arc;

use rusqlite::Connection;

use self::{clock::Clock, readers::Readers, writer::Writer};
use crate::{live::Hub, refusal::Refusal, values::Moment};

/// The tables of a server that runs.
#[derive(Debug)]
pub(crate) struct Store {
    writer: Writer,
    readers: Readers,
    clock: Arc<Clock>,
}

impl Store {
    /// Starts the thread that writes.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or a thread cannot be made.
    pub(crate) fn start(
        connections: Connections,
        hub: Arc<Hub>,
        later: Later,
    ) -> Result<(Self, Thread), OpenError> {
        let connection = connections.open()?;
        let clock = Arc::new(Clock::behind(timeline::newest(&connection)?));
        let (writer, thread) = Writer::start(connection, hub, later, clock.clone())?;
        Ok((Self { writer, readers: Readers::new(connections), clock }, thread))
    }

    /// Reads, in one snapshot.
    ///
    /// # Errors
    ///
    /// What the work refuses; [`Refusal::Broken`] if the file cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed either way.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.readers.read(work).await
    }

    /// Writes all of the work or nothing of it, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// What the work refuses; [`Refusal::Broken`] and [`Refusal::Unavailable`] if
    /// it cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the work is done or not; nobody learns which.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.writer.write(work).await
    }

    /// A moment up to which whoever reads from now on sees all rows. To be
    /// asked before the read that it is about.
    pub(crate) fn settled(&self) -> Moment {
        self.clock.settled(Moment::now())
    }

    /// Ends the thread that writes, when it has done what it was given.
    pub(crate) fn close(&self) {
        self.writer.close();
    }
}
