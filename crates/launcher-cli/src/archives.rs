//! Which files an archive of an agent has in it.
//!
//! Its `config.yaml` and what is beside it, such as prompts and programs;
//! everything in its data folder; and its crypto store, which is always called
//! `data/crypto` there. What a start makes anew stays out: locks, drafts, links
//! and SQLite's shared memory; and so do stores that were put aside, and hidden
//! files outside the data folder.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use fs_err as fs;
use launcher_archive::{ArchiveError, Entry, MAX_FILES, gather, write_if_wanted};
use launcher_core::spec::AgentSpec;
use launcher_matrix::is_rekey_unfinished;
use launcher_runtime::{
    files,
    locks::LOCK_FILE,
    ports::{
        archive::{ArchiveSummary, Archives},
        maintenance::MaintenanceError,
    },
    retired,
};

/// What the crypto store is called in an archive, wherever it was.
pub(crate) const STORE: &str = "data/crypto";

/// The most bytes of what is beside the configuration and the data.
const MOST_BESIDE: u64 = 256 * 1024 * 1024;

/// Makes archives with `launcher-archive`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentArchives;

#[async_trait]
impl Archives for AgentArchives {
    async fn write(
        &self,
        spec: &AgentSpec,
        out: &Path,
    ) -> Result<ArchiveSummary, MaintenanceError> {
        let folders = [spec.data_folder(), spec.encryption.store_path.clone()];
        if !files::wait_until_closed(&folders.each_ref().map(PathBuf::as_path)).await {
            let reason = "the agent's files are still in use, although it rests";
            return Err(refused(reason, "repeat the command"));
        }
        let (spec, out) = (spec.clone(), out.to_owned());
        // Dropped with this future: from then on nobody keeps the files as they are.
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let work = tokio::task::spawn_blocking(move || {
            write(&spec, &out, || is_wanted.strong_count() > 0)
        });
        let done = work.await;
        drop(wanted);
        done.map_err(|_| refused("writing the archive ended in the middle", LOG))?
    }
}

const LOG: &str = "look into the log, and repeat the command";

fn write(
    spec: &AgentSpec,
    out: &Path,
    is_wanted: impl FnOnce() -> bool,
) -> Result<ArchiveSummary, MaintenanceError> {
    if is_rekey_unfinished(spec) {
        let action = format!("start {} once", spec.id);
        return Err(refused("a change of the pickle key is not finished", action));
    }
    let folders = [spec.folder.clone(), spec.data_folder(), spec.encryption.store_path.clone()];
    if folders.iter().any(|folder| is_inside(out, folder)) {
        let reason = format!("{} lies among the files that go into it", out.display());
        return Err(refused(reason, "choose a place outside the agent's folder"));
    }
    let mut entries = entries(spec).map_err(|error| {
        let action = "see to the file or folder that is named, and repeat the command";
        refused(format!("the agent's files cannot be read: {error}"), action)
    })?;
    entries.extend(beside(spec).map_err(failed)?);
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let key = &spec.encryption.pickle_key;
    let summary = write_if_wanted(out, &spec.id, key, &entries, is_wanted).map_err(failed)?;
    // The archive is there; not being able to tell its size takes nothing from it.
    let size = fs::metadata(out).map_or(summary.bytes, |found| found.len());
    Ok(ArchiveSummary { files: summary.files, size })
}

fn is_inside(path: &Path, folder: &Path) -> bool {
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    let folder = fs::canonicalize(folder).ok();
    parent.zip(folder).is_some_and(|(parent, folder)| parent.starts_with(folder))
}

fn refused(reason: impl Into<String>, action: impl Into<String>) -> MaintenanceError {
    MaintenanceError::Refused { reason: reason.into(), action: action.into() }
}

fn failed(error: ArchiveError) -> MaintenanceError {
    match &error {
        ArchiveError::Exists { path } => refused(
            format!("{} exists, and is not overwritten", path.display()),
            "choose another place, or move it away",
        ),
        ArchiveError::Changed { path } => refused(
            format!("{} changed while it was read", path.display()),
            "stop whatever writes to it",
        ),
        ArchiveError::TooMuch { folder, .. } => {
            let most = MOST_BESIDE / (1024 * 1024);
            let folder = folder.display();
            refused(
                format!(
                    "{folder} has more than {MAX_FILES} files or {most} MiB beside the agent's data"
                ),
                "move what does not belong to the agent out of it, or let the name of its folder \
                 begin with a dot: then it stays out of the archive",
            )
        }
        ArchiveError::BadName { name, problem, .. } => refused(
            format!("the name {name:?} {problem}"),
            "move what does not belong to the agent out of its folder",
        ),
        _ => refused(
            error.to_string(),
            "see to the file or folder that is named, and repeat the command",
        ),
    }
}

/// What is beside an agent's configuration, data and stores.
fn beside(spec: &AgentSpec) -> Result<Vec<Entry>, ArchiveError> {
    let mut without = retired::folders(&spec.encryption.store_path)?;
    without.extend([spec.folder.join("config.yaml"), spec.data_folder()]);
    without.push(spec.encryption.store_path.clone());
    gather(&spec.folder, &without, MOST_BESIDE)
}

/// An agent's configuration, data and store, as they are called in its archive.
fn entries(spec: &AgentSpec) -> io::Result<Vec<Entry>> {
    let store = &spec.encryption.store_path;
    let data = spec.data_folder();
    // A link is followed here, because without it there is no agent.
    let config = fs::canonicalize(spec.folder.join("config.yaml"))?;
    let mut found = vec![Entry { source: config, name: "config.yaml".to_owned() }];
    // What has the name of the store, and is not it, is left over.
    let mut out = vec![store.clone(), data.join("crypto")];
    out.extend(retired::folders(&spec.encryption.store_path)?);
    let out: Vec<PathBuf> = out.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    collect(&data, "data", &out, &mut found)?;
    collect(store, STORE, &[], &mut found)?;
    Ok(found)
}

/// Adds the files in and below a folder, but for the folders in `out`.
fn collect(folder: &Path, name: &str, out: &[PathBuf], found: &mut Vec<Entry>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (kind, source) = (entry.file_type()?, entry.path());
        let Ok(own) = entry.file_name().into_string() else {
            let text = format!("{}: its name is not UTF-8", source.display());
            return Err(io::Error::other(text));
        };
        let name = format!("{name}/{own}");
        if kind.is_dir() {
            if !out.contains(&fs::canonicalize(&source)?) {
                collect(&source, &name, out, found)?;
            }
        } else if kind.is_file() && !is_made_anew(&own) {
            found.push(Entry { source, name });
        }
    }
    Ok(())
}

fn is_made_anew(name: &str) -> bool {
    // The change file of a change that is not finished names a key that the archive does not have.
    name == LOCK_FILE || name == "rekey" || name.ends_with(".new") || name.ends_with("-shm")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use launcher_archive::open;
    use tempfile::TempDir;

    use super::*;
    use crate::way::tests::spec;

    fn put(path: impl AsRef<Path>) {
        let path = path.as_ref();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, path.to_str().unwrap()).unwrap();
    }

    /// An agent with everything that can be in its folder.
    fn agent(folder: &TempDir) -> AgentSpec {
        let spec = spec(folder);
        for name in [
            "config.yaml",
            "prompt.md",
            "robot/robot.py",
            ".env",
            ".venv/bin/python",
            "data/vault",
            "data/vault.new",
            "data/launcher.lock",
            "data/journal.db",
            "data/journal.db-wal",
            "data/journal.db-shm",
            "data/own/deep/file",
            "data/crypto/crypto.db",
            "data/crypto/crypto.db-wal",
            "data/crypto/crypto.db-shm",
            "data/crypto/launcher.lock",
            "data/crypto.retired-1-OLD/crypto.db",
        ] {
            put(spec.folder.join(name));
        }
        let link = spec.encryption.store_path.join("matrix-sdk-crypto.sqlite3");
        symlink("crypto.db", link).unwrap();
        symlink("/etc/hostname", spec.data_folder().join("link")).unwrap();
        spec
    }

    fn names(spec: &AgentSpec) -> Vec<String> {
        all(spec).into_iter().map(|entry| entry.name).collect()
    }

    fn all(spec: &AgentSpec) -> Vec<Entry> {
        let mut all = entries(spec).unwrap();
        all.extend(beside(spec).unwrap());
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    const EXPECTED: [&str; 9] = [
        "config.yaml",
        "data/crypto/crypto.db",
        "data/crypto/crypto.db-wal",
        "data/journal.db",
        "data/journal.db-wal",
        "data/own/deep/file",
        "data/vault",
        "prompt.md",
        "robot/robot.py",
    ];

    #[test]
    fn what_a_start_makes_anew_and_what_was_put_aside_stay_out() {
        let folder = TempDir::new().unwrap();
        assert_eq!(names(&agent(&folder)), EXPECTED);
    }

    #[test]
    fn a_store_elsewhere_has_the_name_of_the_usual_one() {
        let folder = TempDir::new().unwrap();
        for place in ["stores/a", "a/data/keys", "a/keys"] {
            let mut spec = agent(&folder);
            let store = folder.path().join(place);
            fs::create_dir_all(store.parent().unwrap()).unwrap();
            fs::rename(&spec.encryption.store_path, &store).unwrap();
            spec.encryption.store_path = store.clone();
            put(store.with_file_name(format!(
                "{}.retired-1-OLD/crypto.db",
                store.file_name().unwrap().display()
            )));
            // Left over from before the store was moved.
            put(spec.data_folder().join("crypto/crypto.db"));
            fs::remove_dir_all(spec.data_folder().join("crypto.retired-1-OLD")).unwrap();
            assert_eq!(names(&spec), EXPECTED, "{place}");
            let found = all(&spec);
            assert_eq!(found[1].source, store.join("crypto.db"));
            fs::remove_dir_all(folder.path().join("a")).unwrap();
        }
    }

    #[test]
    fn an_agent_that_never_ran_is_its_configuration() {
        let folder = TempDir::new().unwrap();
        put(folder.path().join("real.yaml"));
        let spec = spec(&folder);
        fs::create_dir_all(&spec.folder).unwrap();
        symlink("../real.yaml", spec.folder.join("config.yaml")).unwrap();
        assert_eq!(names(&spec), ["config.yaml"]);
        let out = folder.path().join("a.backup");
        assert_eq!(write(&spec, &out, || true).unwrap().files, 1);
    }

    #[tokio::test]
    async fn an_archive_opens_with_the_agents_key_and_is_not_overwritten() {
        let folder = TempDir::new().unwrap();
        let (spec, out) = (agent(&folder), folder.path().join("a.backup"));
        let summary = AgentArchives.write(&spec, &out).await.unwrap();
        assert_eq!((summary.files, summary.size), (9, fs::metadata(&out).unwrap().len()));
        let archive = open(&out, &spec.encryption.pickle_key).unwrap();
        archive.unpack(&folder.path().join("unpacked")).unwrap();
        let error = AgentArchives.write(&spec, &out).await.unwrap_err();
        assert!(error.to_string().ends_with("a.backup exists, and is not overwritten"), "{error}");
    }

    #[tokio::test]
    async fn files_that_are_open_are_waited_for() {
        let folder = TempDir::new().unwrap();
        let (spec, out) = (agent(&folder), folder.path().join("a.backup"));
        let _lock = fs::File::open(spec.data_folder().join(LOCK_FILE)).unwrap();
        let open = fs::File::open(spec.data_folder().join("journal.db")).unwrap();
        let closes = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert!(!out.exists());
            drop(open);
        };
        let (written, ()) = tokio::join!(AgentArchives.write(&spec, &out), closes);
        assert_eq!(written.unwrap().files, 9);
    }

    #[test]
    fn what_would_be_of_no_use_is_refused() {
        let folder = TempDir::new().unwrap();
        let (spec, out) = (agent(&folder), folder.path().join("a.backup"));
        let inside = write(&spec, &spec.data_folder().join("own/a.backup"), || true).unwrap_err();
        assert!(inside.to_string().ends_with("among the files that go into it"), "{inside}");
        let beside = write(&spec, &spec.folder.join("a.backup"), || true).unwrap_err();
        assert!(beside.to_string().ends_with("among the files that go into it"), "{beside}");
        let large = fs::File::create(spec.folder.join("robot/large")).unwrap();
        large.set_len(MOST_BESIDE).unwrap();
        let large = write(&spec, &out, || true).unwrap_err();
        assert!(large.to_string().ends_with("256 MiB beside the agent's data"), "{large}");
        fs::remove_file(spec.folder.join("robot/large")).unwrap();
        let late = write(&spec, &out, || false).unwrap_err();
        assert!(late.to_string().ends_with("not wanted any more"), "{late}");
        assert!(!out.exists());
    }
}
