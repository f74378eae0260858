//! Where the control socket is.

use std::{
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use fs_err::File;

/// The socket's name in the launcher's own folder.
const NAME: &str = "control.sock";

/// A way to the socket that is short enough for the system.
///
/// A Unix socket's address holds 107 bytes, and folders can be deep. The way
/// through an open folder is always short. It works as long as this lives.
#[derive(Debug)]
pub(crate) struct SocketPath {
    _folder: File,
    /// The address to bind or connect to.
    pub(crate) short: PathBuf,
    /// The file's real path, for messages.
    pub(crate) real: PathBuf,
}

impl SocketPath {
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        let open = File::open(folder)?;
        let descriptor = open.file().as_raw_fd();
        Ok(Self {
            short: PathBuf::from(format!("/proc/self/fd/{descriptor}/{NAME}")),
            real: folder.join(NAME),
            _folder: open,
        })
    }
}
