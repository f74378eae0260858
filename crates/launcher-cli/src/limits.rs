//! What the operating system lets the process do.

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use tracing::warn;

/// Open files that a busy agent needs: two stores with two connections each
/// and their side files, two locks, sockets.
const FILES_PER_AGENT: u64 = 16;

/// Open files that the process needs besides.
const FILES_BESIDES: u64 = 64;

/// Makes every file that this process creates readable by its user only.
pub(crate) fn keep_files_private() {
    umask(Mode::from_raw_mode(0o077));
}

/// Raises the limit on open files as far as it goes, and warns if that is too
/// little for this many agents. The usual soft limit of 1,024 is left over
/// from programs that use `select`.
pub(crate) fn allow_open_files(agents: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!(%error, "raising the limit on open files failed");
            limit.current
        }
    };
    let needed = FILES_BESIDES + FILES_PER_AGENT * agents as u64;
    if allowed.is_some_and(|allowed| allowed < needed) {
        warn!(
            allowed,
            needed, "the limit on open files (ulimit -n) is too low for this many busy agents"
        );
    }
}
