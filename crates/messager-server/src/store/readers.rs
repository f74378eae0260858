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
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections, permits: Arc::new(Semaphore::new(READERS)), idle: Arc::default() }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Refusal::Unavailable)?;
        let (connections, idle) = (self.connections.clone(), self.idle.clone());
        let reading = move || -> Result<T, Refusal> {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open(&connections).map_err(|error| broken(&error))?,
            };
            let result = in_snapshot(&connection, work);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            // Until here, also when nobody waits for it any more: otherwise whoever asks
            // and hangs up has as many reading as they like.
            drop(permit);
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

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;
    use crate::store::Folder;

    #[tokio::test]
    async fn whoever_hangs_up_keeps_the_place_until_the_reading_ends() {
        let folder = tempfile::tempdir().unwrap();
        let readers = Readers::new(Folder::prepare(folder.path()).unwrap().connections());
        let (end, ended) = std::sync::mpsc::channel::<()>();
        {
            let mut asking = pin!(readers.read(move |_| Ok(ended.recv().is_ok())));
            let once = std::future::poll_fn(|context| {
                Poll::Ready(asking.as_mut().poll(context).is_pending())
            });
            assert!(once.await);
        }
        assert_eq!(readers.permits.available_permits(), READERS - 1);
        end.send(()).unwrap();
        let all = u32::try_from(READERS).unwrap();
        drop(readers.permits.acquire_many(all).await.unwrap());
        assert_eq!(readers.read(|_| Ok(5)).await, Ok(5));
    }
}
