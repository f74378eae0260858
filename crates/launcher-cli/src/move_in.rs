//! Puts folders where they belong, as a whole or not at all.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt, path::Path};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_config::StoreHome;
use launcher_control::wire::Refusal;
use launcher_runtime::locks::make_private_folder;

use crate::{archives::STORE, table::harmless};

/// What unfinished folders are called, before some random letters.
const DRAFT: &str = ".launcher-draft-";

/// Lets an agent move in: from `unpacked`, as it came out of an archive, into
/// its `folder`, and its store to where its file wants it. Needs an empty
/// folder `aside` to work in, on the file system of `unpacked`.
///
/// The agent is the last to appear, so it is there with everything that it
/// needs, or not at all. Only a kill may leave a store without its agent.
pub(crate) fn move_in(
    unpacked: &Path,
    aside: &Path,
    folder: &Path,
    store: &StoreHome,
) -> anyhow::Result<()> {
    let usual = unpacked.join(STORE);
    let home = match store {
        StoreHome::Usual => None,
        StoreHome::Inside(path) => Some(unpacked.join(path)),
        StoreHome::Outside(path) => Some(path.clone()),
        StoreHome::Unclear(text) => return Err(unclear(text).into()),
    };
    let home = home.filter(|_| usual.exists());
    if let Some(home) = &home {
        if fs::symlink_metadata(home).is_ok() {
            return Err(taken(home, matches!(store, StoreHome::Outside(_))).into());
        }
        // On the way, because the one may lie inside the other.
        let on_the_way = aside.join("store");
        fs::rename(&usual, &on_the_way)?;
        make_private_folder(parent(home))?;
        move_folder(&on_the_way, home)?;
    }
    if let Err(error) = move_folder(unpacked, folder) {
        if let (Some(home), StoreHome::Outside(_)) = (&home, store) {
            fs::remove_dir_all(home)?;
        }
        return Err(error.into());
    }
    Ok(())
}

fn unclear(text: &str) -> Refusal {
    let text = harmless(text);
    let reason = format!("the agent's crypto store belongs in {text}, and not all of that is set");
    Refusal::new(reason, "set the variables in `.env`, and repeat the command")
}

fn taken(home: &Path, is_outside: bool) -> Refusal {
    let action = match is_outside {
        true => "move it away if no agent uses it",
        false => "the archive was made by hand; use another one",
    };
    let home = home.display();
    Refusal::new(format!("the agent's crypto store belongs in {home}, which exists"), action)
}

/// Moves a folder of files and folders to where nothing is.
pub(crate) fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        let text = format!("{} exists", to.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_folder(from, to)?,
        renamed => renamed?,
    }
    sync_folder(parent(to))
}

/// Copies a folder to another file system, where it gets its name in the end.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let private = Permissions::from_mode(0o700);
    let draft =
        tempfile::Builder::new().prefix(DRAFT).permissions(private).tempdir_in(parent(to))?;
    // One folder deeper, so that nobody takes the draft for an agent.
    let copied = draft.path().join("copied");
    copy_all(from, &copied)?;
    fs::rename(&copied, to)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    make_private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
            continue;
        }
        // A program stays one.
        let mode = entry.metadata()?.permissions().mode() & 0o700;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&to)?;
        io::copy(&mut File::open(entry.path())?, &mut file)?;
        file.sync_all()?;
    }
    sync_folder(to)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in a folder survive a power cut, where the file system
/// can do that.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// What came out of an archive, and where it goes.
    struct Stage(TempDir);

    impl Stage {
        fn new() -> Self {
            let stage = Self(TempDir::new().unwrap());
            for name in ["config.yaml", "data/vault", "data/crypto/crypto.db"] {
                stage.put(&format!("unpacked/{name}"));
            }
            fs::create_dir_all(stage.path("aside")).unwrap();
            fs::create_dir_all(stage.path("agents")).unwrap();
            stage
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put(&self, name: &str) {
            fs::create_dir_all(parent(&self.path(name))).unwrap();
            fs::write(self.path(name), name).unwrap();
        }

        fn move_in(&self, store: StoreHome) -> anyhow::Result<()> {
            let (unpacked, aside) = (self.path("unpacked"), self.path("aside"));
            move_in(&unpacked, &aside, &self.path("agents/a"), &store)
        }

        /// The files in a folder, by name.
        fn files(&self, folder: &str) -> Vec<String> {
            let mut found = Vec::new();
            let mut folders = vec![self.path(folder)];
            while let Some(next) = folders.pop() {
                for entry in fs::read_dir(next).into_iter().flatten() {
                    let path = entry.unwrap().path();
                    let name = path.strip_prefix(self.path(folder)).unwrap();
                    match path.is_dir() {
                        true => folders.push(path),
                        false => found.push(name.to_str().unwrap().to_owned()),
                    }
                }
            }
            found.sort();
            found
        }
    }

    #[test]
    fn a_store_goes_where_the_agent_will_look_for_it() {
        let outside = |stage: &Stage| StoreHome::Outside(stage.path("stores/deep/a"));
        let inside = |path: &str| StoreHome::Inside(path.into());
        let rest = ["config.yaml", "data/vault"];
        for (store, expected) in [
            (StoreHome::Usual, "data/crypto/crypto.db"),
            (inside("data/keys"), "data/keys/crypto.db"),
            (inside("data/crypto/deeper"), "data/crypto/deeper/crypto.db"),
        ] {
            let stage = Stage::new();
            stage.move_in(store).unwrap();
            let mut all = [rest.as_slice(), &[expected]].concat();
            all.sort();
            assert_eq!(stage.files("agents/a"), all);
        }
        let stage = Stage::new();
        stage.move_in(outside(&stage)).unwrap();
        assert_eq!(stage.files("agents/a"), rest);
        assert_eq!(stage.files("stores"), ["deep/a/crypto.db"]);
    }

    #[test]
    fn nothing_appears_where_the_store_has_no_place() {
        let stage = Stage::new();
        fs::create_dir_all(stage.path("stores/a")).unwrap();
        for store in [
            StoreHome::Outside(stage.path("stores/a")),
            StoreHome::Inside("data".into()),
            StoreHome::Unclear("${X}".to_owned()),
        ] {
            let error = stage.move_in(store).unwrap_err();
            let refusal = error.downcast_ref::<Refusal>().unwrap();
            assert!(refusal.reason.contains("crypto store belongs in"), "{refusal}");
            assert_eq!(stage.files("agents"), [""; 0]);
        }
        assert_eq!(stage.files("unpacked").len(), 3);
    }

    #[test]
    fn a_store_does_not_stay_without_its_agent() {
        let stage = Stage::new();
        stage.put("agents/a/other");
        let error = stage.move_in(StoreHome::Outside(stage.path("store"))).unwrap_err();
        assert!(error.to_string().ends_with("agents/a exists"), "{error}");
        assert!(!stage.path("store").exists());
        assert_eq!(stage.files("agents/a"), ["other"]);
    }

    #[test]
    fn a_copy_is_whole_and_private() {
        let stage = Stage::new();
        copy_folder(&stage.path("unpacked"), &stage.path("agents/a")).unwrap();
        assert_eq!(stage.files("agents/a"), stage.files("unpacked"));
        assert_eq!(fs::read_dir(stage.path("agents")).unwrap().count(), 1);
        let mode = |name| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("agents/a/data"), mode("agents/a/data/vault")), (0o700, 0o600));
    }
}
