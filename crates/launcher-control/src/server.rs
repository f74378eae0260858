//! The running launcher's end of the control socket.

use std::{future::Future, io, os::unix::fs::PermissionsExt, path::Path};

use axum::{Json, Router, extract::State, routing::get};
use fs_err as fs;
use launcher_runtime::StatusBoard;
use tokio::net::UnixListener;
use tracing::debug;

use crate::{
    socket::SocketPath,
    wire::{AgentReply, StatusReply},
};

/// A socket that listens and is not served yet.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: SocketPath,
}

impl ControlSocket {
    /// Makes the socket (0600) in the launcher's own folder.
    ///
    /// The caller holds that folder's lock, so a socket that is there was left
    /// behind by a process that is gone, and is replaced.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = SocketPath::in_folder(folder)?;
        match fs::remove_file(&path.real) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path.short)?;
        fs::set_permissions(&path.real, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers until `stop` ends, and then removes the socket.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn serve(
        self,
        board: StatusBoard,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let api = Router::new().route("/v1/status", get(status)).with_state(board);
        let served = axum::serve(self.listener, api).with_graceful_shutdown(stop).await;
        if let Err(error) = fs::remove_file(&self.path.real) {
            debug!(%error, "the control socket was gone already");
        }
        served
    }
}

async fn status(State(board): State<StatusBoard>) -> Json<StatusReply> {
    let agents = board.snapshot().into_iter().map(AgentReply::from).collect();
    Json(StatusReply { agents })
}
