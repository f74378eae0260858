//! A few connections that read.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{Connections, Stop, stop::broken};
use crate::refusal::Refusal;

/// How many read at once. What they read is in memory nearly always: a few keep
/// two cores busy.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    connections: Connections,
    permits: Semaphore,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections, permits: Semaphore::new(READERS), idle: Arc::default() }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Ok(_permit) = self.permits.acquire().await else { return Err(Refusal::Unavailable) };
        let (connections, idle) = (self.connections.clone(), self.idle.clone());
        let reading = move || -> Result<T, Refusal> {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open(&connections).map_err(|error| broken(&error))?,
            };
            let result = in_snapshot(&connection, work);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result.map_err(Stop::into_refusal)
        };
        // A panic in there is logged where it happens, and takes its connection with it.
        tokio::task::spawn_blocking(reading).await.unwrap_or(Err(Refusal::Broken))
    }
}

fn open(connections: &Connections) -> rusqlite::Result<Connection> {
    let connection = connections.open()?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let transaction = connection.unchecked_transaction()?;
    let found = work(&transaction)?;
    transaction.commit()?;
    Ok(found)
}
