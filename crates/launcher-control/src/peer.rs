//! Who is at the other end of the control socket, as the kernel says it.

use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use fs_err as fs;
use rustix::process::{geteuid, getpid};
use tokio::net::UnixListener;

/// A process that asks, or that acts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user when it connected (`SO_PEERCRED`); unknown if the kernel did
    /// not say.
    pub uid: Option<u32>,
    /// Its id then.
    pub pid: Option<u32>,
}

impl Peer {
    /// This process.
    pub fn own() -> Self {
        let pid = getpid().as_raw_nonzero().get();
        Self { uid: Some(geteuid().as_raw()), pid: u32::try_from(pid).ok() }
    }

    /// Whether it may ask a launcher of this user anything: only the user
    /// itself and root may.
    ///
    /// The mode of the socket says the same. This holds even where the socket
    /// was made accessible, or was handed on.
    pub(crate) fn may_ask(self, launcher: u32) -> bool {
        self.uid.is_some_and(|uid| uid == launcher || uid == 0)
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let known = stream.io().peer_cred().ok();
        Self {
            uid: known.map(|peer| peer.uid()),
            pid: known.and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok()),
        }
    }
}

/// Makes sure that nobody but this process's user can get at what is in the
/// launcher's own folder.
///
/// # Errors
///
/// If it belongs to somebody else, or others may look into it; with the way out.
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let own = geteuid().as_raw();
    let (shown, owner) = (folder.display(), found.uid());
    let mode = found.permissions().mode() & 0o777;
    let complaint = if owner != own {
        format!(
            "{shown} belongs to user {owner}, and this is user {own}: run the launcher as that \
             user, or `chown` the folder and what is in it"
        )
    } else if mode & 0o077 != 0 {
        format!("others may get at {shown} (its mode is {mode:04o}): `chmod 700` it")
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, complaint))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_the_launchers_user_and_root_may_ask() {
        let peer = |uid| Peer { uid, pid: None };
        assert!(peer(Some(1000)).may_ask(1000) && peer(Some(0)).may_ask(1000));
        assert!(!peer(Some(1001)).may_ask(1000) && !peer(None).may_ask(1000));
        // The other way round, root's launcher is root's only.
        assert!(!peer(Some(1000)).may_ask(0));
    }

    #[test]
    fn a_folder_that_others_can_open_is_refused_with_the_way_out() {
        let folder = TempDir::new().unwrap();
        for (mode, is_good) in [(0o700, true), (0o750, false), (0o701, false), (0o777, false)] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let checked = check_folder(folder.path());
            assert_eq!(checked.is_ok(), is_good, "{mode:o}");
            if let Err(error) = checked {
                let text = error.to_string();
                assert!(text.contains(&format!("{mode:04o}")) && text.contains("chmod 700"));
            }
        }
    }
}
