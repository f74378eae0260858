//! Whether this process still has files open.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use tokio::time::{Instant, sleep};

use crate::locks::LOCK_FILE;

/// How long files may stay open after their session.
const LIMIT: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How long to wait for files to be closed where the system does not tell.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// Waits until this process has no file in these folders open, but for locks;
/// at most ten seconds. Returns whether they are closed.
///
/// SQLite's connections are closed on threads of their own, a moment after
/// their session has ended. The last one writes back what is in the log and
/// removes it, by its name: until then the files change although nobody uses
/// them, and others must not take their place.
///
/// # Cancel safety
///
/// Cancel safe: it only looks.
pub async fn wait_until_closed(folders: &[&Path]) -> bool {
    let folders: Vec<_> = folders.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let end = Instant::now() + LIMIT;
    loop {
        match any_open_in(&folders) {
            Err(_) => {
                // The system does not tell: this has to be long enough.
                sleep(UNKNOWN_WAIT).await;
                return true;
            }
            Ok(false) => return true,
            Ok(true) if Instant::now() > end => return false,
            Ok(true) => sleep(LOOK_EVERY).await,
        }
    }
}

/// Whether this process has a file in one of these folders open, but for locks.
fn any_open_in(folders: &[PathBuf]) -> io::Result<bool> {
    for entry in fs::read_dir("/proc/self/fd")? {
        // One may be closed between listing and looking.
        let Ok(path) = fs::read_link(entry?.path()) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The name of a file that was removed has something appended.
        if !name.starts_with(LOCK_FILE) && folders.iter().any(|folder| path.starts_with(folder)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_open_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("a")).unwrap();
        let _lock = fs::File::create(folder.path().join(LOCK_FILE)).unwrap();
        let paths = [folder.path()];
        let waiting = wait_until_closed(&paths);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(LOOK_EVERY * 3, &mut waiting).await;
        assert!(early.is_err());
        drop(file);
        assert!(waiting.await);
    }
}
