//! Gets a file, in memory that is bounded.
//!
//! What is encrypted stays so until all of it is there: it goes into a file
//! without a name, and only whole into memory.

use std::{
    io::{Read, Seek},
    path::Path,
    time::Duration,
};

use launcher_runtime::ports::FetchFault;

use super::{
    sealing::{self, OpenError},
    source::Source,
};
use crate::rest::{DownloadError, Downloaded, Rest, RestError};

/// Why a file could not be had.
#[derive(Debug)]
pub(crate) enum Failed {
    /// This attempt, and any other.
    For(FetchFault),
    /// The same attempt may succeed later.
    Passing { detail: String, retry_after: Option<Duration> },
    /// What the homeserver says about the session itself.
    Session(RestError),
}

/// Fetches a file of at most `limit` bytes and decrypts it. `announced` is what
/// the message says of its size; `folder` is where it may lie meanwhile.
///
/// # Cancel safety
///
/// Cancel safe: nothing is left behind.
pub(crate) async fn fetch(
    rest: &Rest,
    token: &str,
    source: Source,
    announced: Option<u64>,
    limit: u64,
    folder: &Path,
) -> Result<Vec<u8>, Failed> {
    if announced.is_some_and(|announced| announced > limit) {
        return Err(Failed::For(FetchFault::TooLarge { limit }));
    }
    let Source { server, id, encryption } = source;
    let found = rest.download(token, &server, &id, limit, folder).await.map_err(fault)?;
    let read = move || {
        let Downloaded { mut file, length } = found;
        file.rewind().map_err(OpenError::Read)?;
        let length = usize::try_from(length).unwrap_or_default();
        match encryption {
            Some(info) => sealing::open(file, length, info),
            None => {
                let mut bytes = Vec::with_capacity(length);
                file.read_to_end(&mut bytes).map_err(OpenError::Read)?;
                Ok(bytes)
            }
        }
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|error| passing(error.to_string()))?;
    read.map_err(|error| match error {
        OpenError::Unusable { detail } => Failed::For(FetchFault::Damaged { detail }),
        OpenError::Changed => {
            let detail = "its hash is not the one in the message".to_owned();
            Failed::For(FetchFault::Damaged { detail })
        }
        OpenError::Read(error) => passing(error.to_string()),
    })
}

fn fault(error: DownloadError) -> Failed {
    match error {
        DownloadError::TooLarge { limit } => Failed::For(FetchFault::TooLarge { limit }),
        DownloadError::Kept(error) => passing(format!("keeping it: {error}")),
        DownloadError::Rest(error) if error.is_of_session() => Failed::Session(error),
        DownloadError::Rest(error) if error.is_final() => {
            Failed::For(FetchFault::Gone { detail: error.to_string() })
        }
        DownloadError::Rest(error) => {
            let retry_after = match &error {
                RestError::Api { retry_after, .. } => *retry_after,
                RestError::Network { .. } | RestError::TooLarge => None,
            };
            Failed::Passing { detail: error.to_string(), retry_after }
        }
    }
}

fn passing(detail: String) -> Failed {
    Failed::Passing { detail, retry_after: None }
}

#[cfg(test)]
mod tests;
