use std::{fs::Permissions, os::unix::fs::symlink};

use super::*;
use crate::{MAX_FILES, gather};

fn put(folder: &Path, name: &str, size: usize) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![b'x'; size]).unwrap();
}

fn names(folder: &Path, without: &[PathBuf]) -> Vec<String> {
    gather(folder, without, 100).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn plain_files_are_found_and_nothing_that_is_hidden_or_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("a");
    for name in [
        "a/config.yaml",
        "a/prompt.md",
        "a/robot/robot.py",
        "a/robot/words/de.txt",
        "a/data/vault",
        "a/robot/data/state",
        "a/.env",
        "a/.venv/bin/python",
        "a/robot/.cache/x",
        "secret",
        "elsewhere/secret",
    ] {
        put(folder.path(), name, 1);
    }
    symlink("../secret", agent.join("link")).unwrap();
    symlink("../elsewhere", agent.join("links")).unwrap();
    symlink(".", agent.join("robot/round")).unwrap();
    symlink("nowhere", agent.join("dangling")).unwrap();
    let without = [agent.join("data"), agent.join("config.yaml"), agent.join("nothing")];
    let expected = ["prompt.md", "robot/data/state", "robot/robot.py", "robot/words/de.txt"];
    assert_eq!(names(&agent, &without), expected);
    // Whatever way leads to it.
    symlink("a/data", folder.path().join("way")).unwrap();
    let without = [folder.path().join("way"), agent.join("config.yaml")];
    assert_eq!(names(&agent, &without), expected);
    assert_eq!(names(&folder.path().join("nothing"), &[]), [""; 0]);
}

#[test]
fn there_is_a_bound_on_bytes_and_on_files() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a", 60);
    put(folder.path(), "b/c", 40);
    put(folder.path(), ".large", 1000);
    assert_eq!(names(folder.path(), &[]), ["a", "b/c"]);
    put(folder.path(), "b/d", 1);
    let error = gather(folder.path(), &[], 100).unwrap_err().to_string();
    assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
    assert!(error.contains("more than 10000 files or 100 bytes"), "{error}");
    assert_eq!(names(folder.path(), &[folder.path().join("b/d")]), ["a", "b/c"]);
    for number in 0..MAX_FILES {
        fs::write(folder.path().join(number.to_string()), "").unwrap();
    }
    assert!(gather(folder.path(), &[], u64::MAX).is_err());
}

#[test]
fn a_program_comes_back_as_one() {
    let mut bench = Bench::new();
    let folder = bench.folder.path().join("sources");
    for (name, mode) in [("run.sh", 0o754), ("notes", 0o644), ("group", 0o610), ("odd", 0o6711)] {
        put(&folder, name, 1);
        fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
    }
    bench.entries = gather(&folder, &[], 100).unwrap();
    bench.write().unwrap();
    bench.unpack().unwrap();
    let expected = [("group", 0o600), ("notes", 0o600), ("odd", 0o700), ("run.sh", 0o700)];
    let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
    assert_eq!(tree(&bench.target()), expected);
}
