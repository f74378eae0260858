//! The running launcher's end of the control socket.

pub mod admin;
mod routes;

use std::{io, os::unix::fs::PermissionsExt, path::Path};

use fs_err as fs;
use tokio::net::UnixListener;
use tracing::debug;

use crate::{desk::Desk, socket::SocketPath};

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

    /// Answers until the desk's stop is demanded, and then removes the socket.
    /// When a stop is asked for, held agents are let go soon after.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn serve(self, desk: Desk) -> io::Result<()> {
        let stop = desk.stop();
        let served = axum::serve(self.listener, routes::api(desk))
            .with_graceful_shutdown(async move { stop.demanded().await })
            .await;
        if let Err(error) = fs::remove_file(&self.path.real) {
            debug!(%error, "the control socket was gone already");
        }
        served
    }
}
