//! The running launcher's end of the control socket.

pub mod admin;
pub(crate) mod asker;
mod routes;

use std::{io, os::unix::fs::PermissionsExt, path::Path};

use fs_err as fs;
use tokio::net::UnixListener;
use tracing::debug;

use crate::{
    audit::AuditLog,
    desk::Desk,
    peer::{Peer, check_folder},
    socket::SocketPath,
};

/// A socket that listens and is not served yet.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: SocketPath,
    audit: AuditLog,
}

impl ControlSocket {
    /// Makes the socket (0600) in the launcher's own folder.
    ///
    /// The caller holds that folder's lock, so a socket that is there was left
    /// behind by a process that is gone, and is replaced.
    ///
    /// # Errors
    ///
    /// Those of the operating system; and if the folder belongs to another user
    /// or is open to others.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        check_folder(folder)?;
        let path = SocketPath::in_folder(folder)?;
        match fs::remove_file(&path.real) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path.short)?;
        fs::set_permissions(&path.real, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path, audit: AuditLog::in_folder(folder) })
    }

    /// Answers until the desk's stop is demanded, and then removes the socket.
    /// When a stop is asked for, held agents are let go soon after.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn serve(self, desk: Desk) -> io::Result<()> {
        let stop = desk.stop();
        let api = routes::api(desk, self.audit);
        let served = axum::serve(self.listener, api.into_make_service_with_connect_info::<Peer>())
            .with_graceful_shutdown(async move { stop.demanded().await })
            .await;
        if let Err(error) = fs::remove_file(&self.path.real) {
            debug!(%error, "the control socket was gone already");
        }
        served
    }
}
