//! A command's end of the control socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::{socket::SocketPath, wire::StatusReply};

/// How long the running launcher may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Why a running launcher gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody listens: no launcher runs on this configuration.
    #[error("no launcher is running here: nobody listens on {}", .path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket is there, but it cannot be used.
    #[error("using the control socket {}", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The running launcher gave no answer that could be understood.
    #[error("asking the running launcher")]
    Answer(#[source] reqwest::Error),
}

/// Asks the launcher whose own folder this is how its agents are.
///
/// # Errors
///
/// See [`AskError`].
pub async fn status(folder: &Path) -> Result<StatusReply, AskError> {
    get(folder, "/v1/status").await
}

async fn get<T: DeserializeOwned>(folder: &Path, path: &str) -> Result<T, AskError> {
    let not_running = || AskError::NotRunning { path: folder.join("control.sock") };
    let socket = SocketPath::in_folder(folder).map_err(|_| not_running())?;
    match tokio::net::UnixStream::connect(&socket.short).await {
        Ok(_) => {}
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(not_running());
        }
        Err(source) => return Err(AskError::Socket { path: socket.real, source }),
    }
    let http = reqwest::Client::builder()
        .unix_socket(socket.short.as_path())
        .timeout(ANSWER_LIMIT)
        .build()
        .map_err(AskError::Answer)?;
    let answer = http.get(format!("http://launcher{path}")).send().await;
    answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(AskError::Answer)?
        .json()
        .await
        .map_err(AskError::Answer)
}
