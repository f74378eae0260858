//! Notices that files have changed.
//!
//! Only folders in which a configuration can stand are watched, not the data
//! below them, where something changes all the time. What is reported is only
//! that and where something happened; all files are read again anyway.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use launcher_core::agent::AgentId;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::timeout};
use tracing::warn;

/// How long files have to be quiet before they are read: a copy or an editor
/// makes several changes in a row.
const QUIET: Duration = Duration::from_millis(300);

/// How long changes may go on before the files are read all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches the configuration's folders.
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    changes: mpsc::UnboundedReceiver<PathBuf>,
    watched: BTreeSet<PathBuf>,
    agents_dir: PathBuf,
    root_files: Vec<PathBuf>,
}

impl Watch {
    /// Watches `root_files` by their folders, and the agents' folders.
    ///
    /// Where the system does not let itself be watched, SIGHUP is left.
    pub(crate) fn start(root_files: Vec<PathBuf>, agents_dir: PathBuf) -> Self {
        // Unbounded, because the watcher's thread must not wait; read out in full each time.
        let (sender, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            for path in event.paths {
                // Nobody listens any more once the launcher stops.
                drop(sender.send(path));
            }
        });
        let watcher = watcher
            .inspect_err(|error| warn!(%error, "watching files does not work; use SIGHUP"))
            .ok();
        let mut watch = Self {
            watcher,
            changes,
            watched: BTreeSet::new(),
            agents_dir: agents_dir.clone(),
            root_files,
        };
        watch.refresh(&agents_dir);
        watch
    }

    /// Watches folders that are new, and forgets those that are gone.
    pub(crate) fn refresh(&mut self, agents_dir: &Path) {
        agents_dir.clone_into(&mut self.agents_dir);
        let mut wanted: BTreeSet<PathBuf> =
            self.root_files.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
        wanted.insert(self.agents_dir.clone());
        if let Ok(entries) = fs_err::read_dir(&self.agents_dir) {
            wanted.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&wanted) {
            // It is no longer watched anyway if the folder is gone.
            drop(watcher.unwatch(gone));
        }
        self.watched.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                Err(error) => {
                    warn!(folder = %folder.display(), %error, "watching a folder failed; use SIGHUP")
                }
            }
        }
    }

    /// Waits for a change that matters, until the files are quiet again.
    ///
    /// Returns the agents whose files it touched. Cancel safe, but for the
    /// names of the agents.
    pub(crate) async fn changed(&mut self) -> BTreeSet<AgentId> {
        let mut touched = BTreeSet::new();
        loop {
            match self.changes.recv().await {
                None => std::future::pending().await,
                Some(path) if self.matters(&path, &mut touched) => break,
                Some(_) => {}
            }
        }
        let patience = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < patience {
            match timeout(QUIET, self.changes.recv()).await {
                Ok(Some(path)) => {
                    self.matters(&path, &mut touched);
                }
                Ok(None) | Err(_) => break,
            }
        }
        touched
    }

    fn matters(&self, path: &Path, touched: &mut BTreeSet<AgentId>) -> bool {
        if self.root_files.iter().any(|file| file == path) {
            return true;
        }
        let Ok(below) = path.strip_prefix(&self.agents_dir) else { return false };
        let mut parts = below.iter();
        let Some(folder) = parts.next().and_then(OsStr::to_str) else { return false };
        let file = parts.next();
        let matters = file.is_none_or(|file| file == "config.yaml");
        if matters && let Ok(agent) = folder.parse() {
            touched.insert(agent);
        }
        matters
    }
}
