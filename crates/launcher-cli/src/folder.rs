//! The launcher's own folder, `.launcher/` beside the root configuration file.

use std::path::{Path, PathBuf};

/// Where the lock and the control socket of a launcher are that runs on this
/// root configuration file.
pub(crate) fn of_config(config: &Path) -> PathBuf {
    let real = fs_err::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    real.parent().unwrap_or(Path::new(".")).join(".launcher")
}
